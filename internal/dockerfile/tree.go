package dockerfile

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/document"
)

// fields are the fields of a map of the tree.
type fields map[string]any

// node makes a value that stands at an offset of the file.
func (b *builder) node(v any, at int) *document.Node { return place(v, b.source.pos(at)) }

func place(v any, pos document.Pos) *document.Node {
	switch list := v.(type) {
	case fields:
		m := make(map[string]any, len(list))
		for k, item := range list {
			m[k] = place(item, pos)
		}
		v = m
	case []string:
		items := make([]any, len(list))
		for i := range list {
			items[i] = place(list[i], pos)
		}
		v = items
	case []*document.Node:
		items := make([]any, len(list))
		for i := range list {
			items[i] = list[i]
		}
		v = items
	case string:
		v = strings.ToValidUTF8(list, "\ufffd")
	case *document.Node:
		return list
	}
	n := document.FromValue(v)
	n.Pos = pos
	return n
}

// tree is the file as the checks see it: docs/adding-a-check.md names its fields.
func (b *builder) tree(name string) *document.Node {
	keys := keyring{}
	top := document.Pos{Line: 1, Column: 1}
	variables := b.variableNodes(keys)
	return place(fields{
		"apiVersion": "seawall.io/v1", "kind": "Dockerfile", "metadata": fields{"name": name},
		"stages": b.stageNodes(keys), "instructions": b.instructionNodes(keys), "commands": b.commandNodes(keys),
		"variables": variables, "inputs": b.inputNodes(keys, variables), "ports": b.portNodes(keys),
	}, top)
}

// keyring makes keys that tell items apart wherever in the file they stand.
type keyring map[string]int

// key returns a key of an item: equal ones of one stage are numbered.
func (k keyring) key(list string, s *stage, text string) string {
	key := list + " " + stageName(s) + " " + text
	k[key]++
	if n := k[key]; n > 1 {
		return fmt.Sprintf("%s#%d", key, n)
	}
	return key
}

func stageName(s *stage) string {
	if s == nil {
		return ""
	}
	return s.name
}

func (b *builder) stageNodes(keys keyring) []*document.Node {
	out := make([]*document.Node, len(b.list))
	for i, s := range b.list {
		tag, digest := tagAndDigest(s.image)
		f := fields{
			"key": keys.key("stage", s, ""), "tag": tag, "digest": digest, "name": s.name, "index": int64(i), "image": s.image, "resolved": s.resolved,
			"scratch": s.image == "scratch", "final": s.final, "kept": s.kept, "windows": s.windows(),
			"base": s.base().image, "healthcheck": s.healthy, "shell": s.shellName(), "programs": s.programs,
		}
		if s.parent != nil {
			f["from"] = s.parent.name
		}
		if s.platform != "" {
			f["platform"] = s.platform
		}
		if s.workdir != "" {
			f["workdir"] = s.workdir
		}
		if user := s.runAs(); user != nil {
			f["user"] = b.node(user.value, user.in.start)
			f["userResolved"] = user.resolved
		}
		out[i] = b.node(f, s.in.start)
	}
	return out
}

// tagAndDigest returns those of an image reference, "" where it has none.
func tagAndDigest(image string) (tag, digest string) {
	image, digest, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		tag = image[i+1:]
	}
	return tag, digest
}

func (b *builder) instructionNodes(keys keyring) []*document.Node {
	out := make([]*document.Node, 0, len(b.instructions))
	for _, in := range b.instructions {
		n := b.instructionFields(in, b.of[in])
		n["key"] = keys.key("instruction", b.of[in], in.line.text)
		out = append(out, b.node(n, in.start))
	}
	return out
}

func (b *builder) instructionFields(in *instruction, s *stage) fields {
	f := fields{
		"keyword": in.keyword, "text": in.line.text, "stage": stageName(s), "kept": s != nil && s.kept,
		"json": in.json, "replaced": b.replaced[in], "args": wordTexts(in.words),
	}
	flags := fields{}
	for _, fl := range in.flags {
		flags[strings.ToValidUTF8(fl.name, "\ufffd")] = fl.value
	}
	f["flags"] = flags
	get := func(string) (string, bool) { return "", false }
	if s != nil {
		get = s.variable
	}
	switch in.keyword {
	case "ADD", "COPY":
		words := in.words
		if len(words) > 0 {
			to, _ := expand(words[len(words)-1].text, b.source.escape, get)
			f["destination"] = to
			words = words[:len(words)-1]
		}
		sources := make([]*document.Node, len(words))
		for i, w := range words {
			text, _ := expand(w.text, b.source.escape, get)
			if in.json {
				text = w.text
			}
			sources[i] = b.node(fields{"text": text, "type": sourceType(text)}, in.start)
		}
		f["sources"] = sources
	case "WORKDIR":
		to, resolved := expand(in.rest(), b.source.escape, get)
		f["destination"], f["resolved"] = to, resolved
		if dir := b.dirs[in]; dir != "" {
			f["path"] = dir
		}
	case "ONBUILD":
		f["trigger"] = b.instructionFields(in.trigger, s)
	case "RUN":
		var mounts []*document.Node
		for _, fl := range in.flags {
			if fl.name == "mount" {
				mounts = append(mounts, b.node(mountFields(fl.value), in.start))
			}
		}
		f["mounts"] = mounts
	}
	return f
}

func wordTexts(words []word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}

// sourceType tells what ADD and COPY take: a url, a git repository, a heredoc, an
// archive that ADD unpacks, or a local file.
func sourceType(text string) string {
	lower := strings.ToLower(text)
	switch {
	case strings.HasPrefix(text, "<<"):
		return "heredoc"
	case strings.HasPrefix(lower, "git@"), strings.HasPrefix(lower, "git://"), strings.HasPrefix(lower, "ssh://"),
		strings.HasPrefix(lower, "http") && (strings.HasSuffix(lower, ".git") || strings.Contains(lower, ".git#")):
		return "git"
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
		return "url"
	case strings.Contains(lower, "$"):
		return "unknown"
	}
	for _, suffix := range []string{".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".gz", ".bz2", ".xz", ".zst", ".lzma", ".taz"} {
		if strings.HasSuffix(lower, suffix) || strings.Contains(lower, ".tar") {
			return "archive"
		}
	}
	return "local"
}

func mountFields(text string) fields {
	f := fields{"type": "bind"}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "dst", "destination":
			name = "target"
		case "src":
			name = "source"
		case "type", "target", "source", "id", "from", "env":
		default:
			continue
		}
		f[name] = value
	}
	return f
}

func (b *builder) commandNodes(keys keyring) []*document.Node {
	texts := make(map[*command]*document.Node, len(b.commands))
	for _, c := range b.commands {
		texts[c] = b.node(c.text(), c.at)
	}
	mounts := map[*instruction][]string{}
	out := make([]*document.Node, 0, len(b.commands))
	for _, c := range b.commands {
		if _, known := mounts[c.in]; !known {
			mounts[c.in] = cacheMounts(c.in)
		}
		then := make([]*document.Node, len(c.following))
		for i, next := range c.following {
			then[i] = texts[next]
		}
		text := strings.Join(append([]string{c.name}, c.args...), " ")
		out = append(out, b.node(fields{
			"key": keys.key("command", c.stage, text), "name": c.name, "action": c.action, "args": c.args,
			"options": c.options, "operands": c.operands, "then": then, "stage": c.stage.name, "kept": c.stage.kept,
			"alone": c.alone, "open": c.open, "piped": c.piped, "plain": c.plain, "chained": c.plain && c.chained,
			"caches": mounts[c.in],
		}, c.at))
	}
	return out
}

// cacheMounts returns the targets of the cache and tmpfs mounts of a RUN.
func cacheMounts(in *instruction) []string {
	var out []string
	for _, fl := range in.flags {
		if fl.name != "mount" {
			continue
		}
		m := mountFields(fl.value)
		target, _ := m["target"].(string)
		if slices.Contains([]any{"cache", "tmpfs"}, m["type"]) {
			out = append(out, target)
		}
	}
	return out
}

func (b *builder) variableNodes(keys keyring) []*document.Node {
	out := make([]*document.Node, len(b.declared))
	for i, d := range b.declared {
		out[i] = b.node(fields{
			"key": keys.key("variable "+d.from, d.stage, d.name), "name": d.name, "value": d.value, "from": d.from,
			"stage": stageName(d.stage), "kept": d.stage != nil && d.stage.kept,
		}, d.at)
	}
	return out
}

// inputNodes lists what comes from outside under a name: variables of ARG and
// ENV, and what COPY and ADD take out of the build context.
func (b *builder) inputNodes(keys keyring, variables []*document.Node) []*document.Node {
	var out []*document.Node
	for i, d := range b.declared {
		if d.from != "RUN" {
			out = append(out, variables[i])
		}
	}
	for _, in := range b.instructions {
		s := b.of[in]
		if s == nil || in.keyword != "COPY" && in.keyword != "ADD" || in.flag("from") != "" || len(in.words) < 2 {
			continue
		}
		for _, w := range in.words[:len(in.words)-1] {
			text, _ := expand(w.text, b.source.escape, s.variable)
			if sourceType(text) == "heredoc" || len(out) >= 2*maxItems {
				continue
			}
			out = append(out, b.node(fields{
				"key": keys.key("input", s, text), "name": text, "value": "", "from": in.keyword, "stage": s.name, "kept": s.kept,
			}, in.start))
		}
	}
	return out
}

func (b *builder) portNodes(keys keyring) []*document.Node {
	out := make([]*document.Node, len(b.ports))
	for i, p := range b.ports {
		out[i] = b.node(fields{
			"key": keys.key("port", p.stage, p.text), "from": p.from, "to": p.to, "protocol": p.protocol, "text": p.text,
			"stage": p.stage.name, "kept": p.stage.kept,
		}, p.at)
	}
	return out
}
