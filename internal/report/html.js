"use strict";
// Filters, sorting and unfolding. The page is whole without this script.
(() => {
  const $ = (id) => document.getElementById(id);

  // A link to a check opens it.
  const openTarget = () => {
    const target = location.hash && $(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  // Paper cannot be clicked: print with everything open, then restore.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const d of closed) d.open = true;
  });
  addEventListener("afterprint", () => {
    for (const d of closed) d.open = false;
  });

  // The columns of a table sort it: the first click puts the highest number or
  // the first word on top, the next turns that round. Empty cells stay last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
    const read = (row, col) => row.cells[col].dataset.v ?? row.cells[col].textContent.trim();
    heads.forEach((th, col) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = th.textContent;
      th.replaceChildren(button);
      const numeric = rows.some((row) => "v" in row.cells[col].dataset);
      button.addEventListener("click", () => {
        const first = numeric ? "descending" : "ascending", second = numeric ? "ascending" : "descending";
        const order = th.getAttribute("aria-sort") === first ? second : first;
        for (const other of heads) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        body.append(...rows.toSorted((a, b) => {
          const x = read(a, col), y = read(b, col);
          if (!x || !y) return !x - !y;
          return sign * (numeric ? x - y : x.localeCompare(y, "en", { numeric: true }));
        }));
      });
    });
  }

  const form = $("filters");
  if (!form) return;
  form.hidden = false;
  form.addEventListener("submit", (e) => e.preventDefault());

  const list = $("groups");
  const groups = [...list.children].map((el, at) => ({
    el, at,
    name: el.querySelector(".name").textContent,
    head: el.querySelector("summary").textContent.toLowerCase(),
    issues: [...el.querySelectorAll(".issue, .flaw")].map((is) => ({ el: is, n: Number(is.dataset.n), text: "" })),
    flaws: el.querySelector(".flaws"),
  }));
  const total = groups.reduce((sum, g) => sum + g.issues.reduce((n, i) => n + i.n, 0), 0);
  const value = (id) => ($(id) ? $(id).value : "");

  const apply = () => {
    const words = value("f-text").toLowerCase().split(/\s+/).filter(Boolean);
    const check = value("f-check"), ns = value("f-ns"), fw = value("f-fw");
    const sevs = new Set([...form.querySelectorAll("[name=sev]:checked")].map((box) => box.value));
    let shown = 0;
    for (const g of groups) {
      let visible = 0;
      for (const issue of g.issues) {
        const d = issue.el.dataset;
        let ok = sevs.has(d.sev) && (!check || d.check === check) && (!ns || issue.el.closest("[data-ns]").dataset.ns === ns) &&
          (!fw || d.fw.split(" ").includes(fw));
        if (ok && words.length) {
          issue.text ||= g.head + " " + issue.el.textContent.toLowerCase();
          ok = words.every((w) => issue.text.includes(w));
        }
        issue.el.hidden = !ok;
        if (ok) visible += issue.n;
      }
      if (g.flaws) g.flaws.hidden = !g.flaws.querySelector(".flaw:not([hidden])");
      g.el.hidden = visible === 0;
      g.visible = visible;
      shown += visible;
    }
    $("f-count").value = shown === total ? `${total} findings` : `${shown} of ${total} findings`;
    $("f-none").hidden = shown > 0;
  };

  const orders = {
    worst: (a, b) => a.at - b.at,
    name: (a, b) => a.name.localeCompare(b.name) || a.at - b.at,
    count: (a, b) => b.visible - a.visible || a.at - b.at,
  };
  const sort = () => list.append(...groups.toSorted(orders[value("f-sort")]).map((g) => g.el));

  let timer = 0;
  form.addEventListener("input", (e) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      apply();
      if (e.target.id === "f-sort" || value("f-sort") === "count") sort();
    }, e.target.id === "f-text" ? 120 : 0);
  });
  form.addEventListener("reset", () => setTimeout(() => { apply(); sort(); }, 0));
  const setAll = (open) => {
    for (const g of groups) {
      if (g.el.hidden) continue;
      g.el.open = open;
      for (const part of g.el.querySelectorAll(":scope > details")) part.open = open;
    }
  };
  $("b-open").addEventListener("click", () => setAll(true));
  $("b-close").addEventListener("click", () => setAll(false));
  addEventListener("keydown", (e) => {
    if (e.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      e.preventDefault();
      $("f-text").focus();
    }
  });
  apply();
})();
