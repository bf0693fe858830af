package report

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"seawall.io/seawall"
)

// drawing is several paths merged to one graph, with a place for each node: from
// left to right, so that a step leads to the right wherever paths do not go round
// in a circle.
type drawing struct {
	nodes []drawnNode
	edges []drawnEdge
	ranks [][]int // points by column, from the top
	all   []point
	chain [][]int // of each edge, the points that its line passes through
	words []area  // where labels stand
}

// area is a part of the drawing.
type area struct{ left, top, right, bottom float64 }

func (a area) meets(b area) bool {
	return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

type drawnNode struct {
	seawall.PathNode

	entry, goal bool
}

// drawnEdge is all steps that lead from one node to another.
type drawnEdge struct {
	from, to   int
	titles     []string
	likelihood float64 // of the likeliest
	unsure     bool    // the likeliest rests on something that is not known
	back       bool    // it leads to the left
}

// label is what stands beside the line.
func (e *drawnEdge) label() string {
	if len(e.titles) > 1 {
		return fmt.Sprintf("%s, or %d more", e.titles[0], len(e.titles)-1)
	}
	return e.titles[0]
}

// point is a node, or a place that a line passes through.
type point struct {
	node int // -1 for a line
	rank int
	y    float64
	// before and after are points of the columns beside that are joined to it.
	before, after []int
}

// merge makes one graph of paths.
func merge(paths []seawall.Path) *drawing {
	d := &drawing{}
	at, edgeAt := map[string]int{}, map[[2]int]int{}
	node := func(n *seawall.PathNode) int {
		i, ok := at[n.Selector]
		if !ok {
			i = len(d.nodes)
			at[n.Selector] = i
			d.nodes = append(d.nodes, drawnNode{PathNode: *n})
		}
		return i
	}
	for i := range paths {
		p := &paths[i]
		d.nodes[node(&p.From)].entry = true
		for j := range p.Steps {
			s := &p.Steps[j]
			k := [2]int{node(&s.From), node(&s.To)}
			e, ok := edgeAt[k]
			if !ok {
				e = len(d.edges)
				edgeAt[k] = e
				d.edges = append(d.edges, drawnEdge{from: k[0], to: k[1]})
			}
			d.edges[e].add(s)
		}
		d.nodes[node(&p.To)].goal = true
	}
	return d
}

func (e *drawnEdge) add(s *seawall.PathStep) {
	if title := clean(s.Title); !slices.Contains(e.titles, title) {
		e.titles = append(e.titles, title)
	}
	if s.Likelihood > e.likelihood {
		e.likelihood = s.Likelihood
		e.unsure = slices.ContainsFunc(s.Conditions, func(c seawall.PathCondition) bool { return c.Holds != "yes" })
	}
}

// layout gives every node a column and a height: columns by the longest way from
// the left, order within them by the middle of their neighbours (Sugiyama).
func (d *drawing) layout() {
	d.turnBack()
	rank := make([]int, len(d.nodes))
	for range d.nodes {
		for i := range d.edges {
			if e := &d.edges[i]; !e.back {
				rank[e.to] = max(rank[e.to], rank[e.from]+1)
			}
		}
	}
	for i := range d.nodes {
		d.place(point{node: i, rank: rank[i]})
	}
	d.chain = make([][]int, len(d.edges))
	for i := range d.edges {
		d.route(i)
	}
	for range sweeps {
		for r := 1; r < len(d.ranks); r++ {
			d.order(r, func(p *point) []int { return p.before })
		}
		for r := len(d.ranks) - 2; r >= 0; r-- {
			d.order(r, func(p *point) []int { return p.after })
		}
	}
	for _, column := range d.ranks {
		for i, p := range column {
			d.all[p].y = (float64(i) - float64(len(column)-1)/2) * rowHeight
		}
	}
	for range sweeps {
		for r := range d.ranks {
			d.settle(r)
		}
		for r := range slices.Backward(d.ranks) {
			d.settle(r)
		}
	}
}

// sweeps is how often the order and the heights of columns are bettered.
const sweeps = 8

// turnBack finds the edges that close a circle.
func (d *drawing) turnBack() {
	out := make([][]int, len(d.nodes))
	for i := range d.edges {
		out[d.edges[i].from] = append(out[d.edges[i].from], i)
	}
	state := make([]int, len(d.nodes)) // 1 on the way, 2 done
	var visit func(v int)
	visit = func(v int) {
		state[v] = 1
		for _, i := range out[v] {
			e := &d.edges[i]
			switch state[e.to] {
			case 0:
				visit(e.to)
			case 1:
				e.back = true
			}
		}
		state[v] = 2
	}
	for _, entriesFirst := range []bool{true, false} {
		for v := range d.nodes {
			if state[v] == 0 && (d.nodes[v].entry || !entriesFirst) {
				visit(v)
			}
		}
	}
}

func (d *drawing) place(p point) int {
	i := len(d.all)
	d.all = append(d.all, p)
	for len(d.ranks) <= p.rank {
		d.ranks = append(d.ranks, nil)
	}
	d.ranks[p.rank] = append(d.ranks[p.rank], i)
	return i
}

// route makes the points that a line passes through, one in each column.
func (d *drawing) route(i int) {
	e := &d.edges[i]
	d.chain[i] = []int{e.from}
	if !e.back {
		last := e.from
		for r := d.all[e.from].rank + 1; r < d.all[e.to].rank; r++ {
			p := d.place(point{node: -1, rank: r})
			d.join(last, p)
			d.chain[i] = append(d.chain[i], p)
			last = p
		}
		d.join(last, e.to)
	}
	d.chain[i] = append(d.chain[i], e.to)
}

func (d *drawing) join(a, b int) {
	d.all[a].after = append(d.all[a].after, b)
	d.all[b].before = append(d.all[b].before, a)
}

// order sorts a column by where the neighbours stand in theirs.
func (d *drawing) order(rank int, neighbours func(*point) []int) {
	position := map[int]float64{}
	for _, column := range d.ranks {
		for i, p := range column {
			position[p] = float64(i)
		}
	}
	middle := func(p int) float64 {
		list := neighbours(&d.all[p])
		if len(list) == 0 {
			return position[p]
		}
		sum := 0.0
		for _, n := range list {
			sum += position[n]
		}
		return sum / float64(len(list))
	}
	want := map[int]float64{}
	for _, p := range d.ranks[rank] {
		want[p] = middle(p)
	}
	slices.SortStableFunc(d.ranks[rank], func(a, b int) int { return cmp.Compare(want[a], want[b]) })
}

// settle moves the points of a column towards their neighbours, as far as the room
// between them allows: where two want the same place, both stand around it.
func (d *drawing) settle(rank int) {
	type block struct {
		sum float64
		n   int
	}
	column := d.ranks[rank]
	var blocks []block
	for i, p := range column {
		x := &d.all[p]
		want, n := 0.0, 0
		for _, list := range [][]int{x.before, x.after} {
			for _, j := range list {
				want += d.all[j].y
				n++
			}
		}
		if n == 0 {
			want, n = x.y, 1
		}
		// What each wants, were there no rows between it and the top of the column.
		blocks = append(blocks, block{want/float64(n) - float64(i)*rowHeight, 1})
		for k := len(blocks) - 1; k > 0 && blocks[k-1].sum/float64(blocks[k-1].n) > blocks[k].sum/float64(blocks[k].n); k-- {
			blocks[k-1].sum += blocks[k].sum
			blocks[k-1].n += blocks[k].n
			blocks = blocks[:k]
		}
	}
	i := 0
	for _, b := range blocks {
		for range b.n {
			d.all[column[i]].y = b.sum/float64(b.n) + float64(i)*rowHeight
			i++
		}
	}
}

// Sizes of the drawing, in units of the SVG.
const (
	boxWidth    = 196.0
	boxHeight   = 44.0
	columnWidth = boxWidth + 160
	rowHeight   = boxHeight + 22
	margin      = 12.0
	legend      = 30.0
	// nameColumns is how many letters fit a box, boldColumns how many bold ones, and
	// labelColumns a line between boxes.
	nameColumns  = 27
	boldColumns  = 23
	labelColumns = 26
	labelHeight  = 13.0
	letterWidth  = 5.8 // of a label
	// wideDrawing is from where on a page does not shrink a drawing to its own width.
	wideDrawing = 2000.0
	// maxDrawn bounds the nodes of one drawing: nobody reads more.
	maxDrawn = 120
)

// drawnStyle is for an SVG that stands alone; in a page the page's own style
// rules.
const drawnStyle = `<style>svg{color:#1b222b;background:#fff}.box{fill:#fff}.label{stroke:#fff}.entry{stroke:#0b5cad}.goal{stroke:#a1123a}` +
	`@media (prefers-color-scheme:dark){svg{color:#e4e9ee;background:#11151a}.box{fill:#191f26}.label{stroke:#11151a}.entry{stroke:#7ab8f5}.goal{stroke:#ff7d9c}}</style>`

// drawPaths draws paths as SVG, from left to right, with no script and nothing
// from elsewhere. Where there are too many, the worst are drawn.
func drawPaths(w *sink, paths []seawall.Path, total int, alone bool) {
	d := merge(paths)
	for len(d.nodes) > maxDrawn {
		paths = paths[:len(paths)-1]
		d = merge(paths)
	}
	d.layout()
	top, bottom := 0.0, 0.0
	for i := range d.all {
		top, bottom = min(top, d.all[i].y), max(bottom, d.all[i].y)
	}
	width := 2*margin + boxWidth + columnWidth*float64(max(len(d.ranks)-1, 0))
	height := bottom - top + boxHeight + 2*margin + legend
	x := func(p int) float64 { return margin + columnWidth*float64(d.all[p].rank) }
	y := func(p int) float64 { return d.all[p].y - top + margin + boxHeight/2 }

	class := "paths"
	if width > wideDrawing {
		class = "paths wide"
	}
	w.printf(`<svg xmlns="http://www.w3.org/2000/svg" class="%[3]s" viewBox="0 0 %[1]s %[2]s" width="%[1]s" height="%[2]s" role="img" aria-labelledby="paths-title paths-desc" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12">`, px(width), px(height), class)
	w.printf("\n<title id=\"paths-title\">%s</title>\n<desc id=\"paths-desc\">%s</desc>\n", svgText(drawnTitle(len(paths), total)), svgText(drawnWords(paths)))
	if alone {
		w.str(drawnStyle + "\n")
	}
	var labels strings.Builder
	for i := range d.edges {
		labels.WriteString(d.line(w, i, x, y))
	}
	w.str(labels.String())
	for i := range d.nodes {
		d.box(w, i, x(i), y(i)-boxHeight/2)
	}
	w.printf(`<text x="%s" y="%s" fill="currentColor" opacity=".75" font-size="11">%s</text>`, px(margin), px(height-margin),
		svgText(drawnTitle(len(paths), total)+". Round: where it begins. Bold: what it leads to. Dashed: it rests on something that is not known."))
	w.str("\n</svg>\n")
}

func drawnTitle(drawn, total int) string {
	if drawn < total {
		return fmt.Sprintf("The worst %d of %s", drawn, number(total, "attack path"))
	}
	return number(total, "attack path")
}

// drawnWords says for those who cannot see the drawing what it shows.
func drawnWords(paths []seawall.Path) string {
	var b strings.Builder
	for i := range paths {
		p := &paths[i]
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(p.From.Name)
		for j := range p.Steps {
			fmt.Fprintf(&b, ", %s: %s", p.Steps[j].Title, p.Steps[j].To.Name)
		}
		b.WriteString(".")
	}
	return b.String()
}

// line draws an edge, and returns what it is called, which stands above all lines.
func (d *drawing) line(w *sink, i int, x, y func(int) float64) string {
	e, chain := &d.edges[i], d.chain[i]
	dash := ""
	if e.unsure {
		dash = ` stroke-dasharray="5 4"`
	}
	stroke := 1 + math.Round(e.likelihood*10)/10
	var path strings.Builder
	startX, startY := x(chain[0])+boxWidth, y(chain[0])
	fmt.Fprintf(&path, "M%s %s", px(startX), px(startY))
	label := fit(e.label(), labelColumns)
	labelX, labelY := 0.0, 0.0
	if e.back {
		// Round below: out on the right, back in on the left.
		endX, endY := x(e.to), y(e.to)
		low := max(startY, endY) + rowHeight*0.55
		fmt.Fprintf(&path, "C%s %s %s %s %s %s", px(startX+70), px(low), px(endX-70), px(low), px(endX), px(endY))
		labelX, labelY = (startX+endX)/2, low-6
	}
	for k := 1; k < len(chain) && !e.back; k++ {
		endX, endY := x(chain[k]), y(chain[k])
		middle := (startX + endX) / 2
		fmt.Fprintf(&path, "C%s %s %s %s %s %s", px(middle), px(startY), px(middle), px(endY), px(endX), px(endY))
		if k == 1 {
			labelX, labelY = d.label(label, startX, startY, endX, endY)
		}
		startX, startY = endX, endY
		if k < len(chain)-1 { // straight through the column
			startX += boxWidth
			fmt.Fprintf(&path, "H%s", px(startX))
		}
	}
	w.printf(`<g class="step"><title>%s</title><path d="%s" fill="none" stroke="currentColor" stroke-opacity=".6" stroke-width="%s"%s/>`,
		svgText(fmt.Sprintf("%s: %s, %s", d.nodes[e.from].Name, strings.Join(e.titles, "; "), chance(e.likelihood))), path.String(), px(stroke), dash)
	// Lines end from the left. A marker would be named by url(), which the page's
	// policy is tested not to need.
	w.printf(`<path d="M%s %sl-9 -4v8z" fill="currentColor"/></g>`+"\n", px(x(e.to)), px(y(e.to)))
	return fmt.Sprintf(`<text class="label" x="%s" y="%s" text-anchor="middle" fill="currentColor" stroke-width="3" paint-order="stroke" font-size="11">%s</text>`+"\n",
		px(labelX), px(labelY), svgText(label))
}

// label finds a place for the words of a line between two columns, where they meet
// none that are there: on the middle of the line, further along it, or below it.
func (d *drawing) label(text string, startX, startY, endX, endY float64) (x, y float64) {
	half := float64(len([]rune(text))) * letterWidth / 2
	var here area
	for n, place := range [...]struct{ along, below float64 }{{0.5, -4}, {0.75, -4}, {0.25, -4}, {0.5, 12}, {0.9, -4}, {0.75, 12}, {0.25, 12}, {0.5, 25}, {0.5, -17}} {
		t := place.along
		atX := startX + (endX-startX)*(1.5*t*(1-t)+t*t*t)
		atX = max(min(atX, endX-half-8), startX+half+4)
		atY := startY + (endY-startY)*t*t*(3-2*t) + place.below
		there := area{atX - half, atY - labelHeight + 3, atX + half, atY + 3}
		free := !slices.ContainsFunc(d.words, there.meets)
		if n == 0 || free {
			x, y, here = atX, atY, there
		}
		if free {
			break
		}
	}
	d.words = append(d.words, here)
	return x, y
}

// box draws a node.
func (d *drawing) box(w *sink, i int, x, y float64) {
	n := &d.nodes[i]
	radius, stroke, weight, class, columns := 4.0, 1.0, "400", "box", nameColumns
	if n.entry {
		radius, class = boxHeight/2, "box entry"
	}
	if n.goal {
		stroke, weight, class, columns = 2.5, "700", "box goal", boldColumns
	}
	w.printf(`<g><title>%s</title><rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="%s" fill="none" stroke="currentColor" stroke-width="%s"/>`,
		svgText(n.Name), class, px(x), px(y), px(boxWidth), px(boxHeight), px(radius), px(stroke))
	w.printf(`<text x="%s" y="%s" text-anchor="middle" fill="currentColor" opacity=".75" font-size="10.5">%s</text>`, px(x+boxWidth/2), px(y+17), svgText(n.Kind))
	w.printf(`<text x="%s" y="%s" text-anchor="middle" fill="currentColor" font-weight="%s">%s</text></g>`+"\n",
		px(x+boxWidth/2), px(y+33), weight, svgText(middle(withoutKind(clean(n.Name)), columns)))
}

// px writes a length with one digit at most.
func px(v float64) string {
	s := fmt.Sprintf("%.1f", v)
	return strings.TrimSuffix(s, ".0")
}

func svgText(s string) string { return html.EscapeString(clean(s)) }

// withoutKind is a name without the kind before it, which a box has above it.
func withoutKind(name string) string {
	for _, kind := range []string{"service account ", "Secret ", "user ", "group ", "node "} {
		if rest, ok := strings.CutPrefix(name, kind); ok {
			return rest
		}
	}
	return name
}
