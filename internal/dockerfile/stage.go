package dockerfile

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// stage is one build stage.
type stage struct {
	index int
	// name is the alias in lower case, or the number.
	name string
	in   *instruction
	// written is the name of the base image as it stands, image with variables
	// filled in, resolved where all of them are known.
	written, image string
	resolved       bool
	platform       string
	// parent is the stage that this one builds on, nil for an image.
	parent *stage
	// kept says that the final image is made from the stage's files and settings.
	final, kept bool

	// env and args are the stage's own variables; those of its parents count too.
	env, args map[string]variable
	user      *setting
	workdir   string // "" where it is not known
	shell     []string
	healthy   bool
	programs  []string
}

// setting is a value with the instruction that set it.
type setting struct {
	value    string
	resolved bool
	in       *instruction
}

type variable struct {
	value string
	known bool
}

// variable returns the value that ENV or ARG gave a variable.
func (s *stage) variable(name string) (string, bool) {
	for _, table := range []func(*stage) map[string]variable{
		func(s *stage) map[string]variable { return s.env },
		func(s *stage) map[string]variable { return s.args },
	} {
		for t := s; t != nil; t = t.parent {
			if v, ok := table(t)[name]; ok {
				return v.value, v.known
			}
		}
	}
	return "", false
}

// shellName names the shell of RUN instructions.
func (s *stage) shellName() string {
	for t := s; t != nil; t = t.parent {
		if len(t.shell) > 0 {
			name := strings.ToLower(path.Base(strings.ReplaceAll(t.shell[0], `\`, "/")))
			return strings.TrimSuffix(name, ".exe")
		}
	}
	if s.windows() {
		return "cmd"
	}
	return "sh"
}

// windows says whether the stage is one for Windows, by the name of its image.
func (s *stage) windows() bool {
	for s.parent != nil {
		s = s.parent
	}
	image := strings.ToLower(s.image)
	return slices.ContainsFunc([]string{"windows", "nanoserver", "servercore", "dotnet/framework"}, func(part string) bool {
		return strings.Contains(image, part)
	}) || strings.HasPrefix(strings.ToLower(s.platform), "windows/")
}

// runAs returns the user that the stage ends as, nil where it names none.
func (s *stage) runAs() *setting {
	for t := s; t != nil; t = t.parent {
		if t.user != nil {
			return t.user
		}
	}
	return nil
}

// base returns the stage that begins with an image.
func (s *stage) base() *stage {
	for s.parent != nil {
		s = s.parent
	}
	return s
}

// declared is a variable that an instruction or a script sets.
type declared struct {
	assignment
	from  string // ENV, ARG or RUN
	stage *stage // nil before the first FROM
	in    *instruction
}

// port is one that EXPOSE names.
type port struct {
	from, to int64 // -1 where they are not known
	protocol string
	text     string
	at       int
	in       *instruction
	stage    *stage
}

// builder goes through the instructions.
type builder struct {
	*File
	source   *source
	list     []*stage
	byName   map[string]*stage
	global   map[string]variable
	of       map[*instruction]*stage
	replaced map[*instruction]bool
	latest   map[string]*instruction // of the stage, by keyword
	// resolvedDir is what a relative WORKDIR comes to.
	dirs     map[*instruction]string
	declared []declared
	ports    []port
}

func newBuilder(f *File, s *source) *builder {
	return &builder{
		File: f, source: s, byName: map[string]*stage{}, global: map[string]variable{},
		of: map[*instruction]*stage{}, replaced: map[*instruction]bool{}, dirs: map[*instruction]string{},
	}
}

// stages reads all instructions.
func (b *builder) stages() error {
	for _, in := range b.instructions {
		switch {
		case in.keyword == "FROM":
			if err := b.from(in); err != nil {
				return err
			}
		case len(b.list) > 0:
			b.of[in] = b.list[len(b.list)-1]
			b.instruction(in)
		case in.keyword == "ARG":
			b.arg(in, nil)
		default:
			return b.source.errorAt(in.start, "%s stands before the first FROM", in.keyword)
		}
	}
	if len(b.list) == 0 {
		return b.source.errorAt(b.instructions[0].start, "no FROM: every image is built from another, or from scratch")
	}
	final := b.list[len(b.list)-1]
	final.final = true
	for s := final; s != nil; s = s.parent {
		s.kept = true
	}
	return nil
}

func (b *builder) from(in *instruction) error {
	if len(in.words) != 1 && (len(in.words) != 3 || !strings.EqualFold(in.words[1].text, "AS")) {
		return b.source.errorAt(in.start, "FROM takes an image, or an image AS a name")
	}
	s := &stage{
		index: len(b.list), name: strconv.Itoa(len(b.list)), in: in, written: in.words[0].text,
		env: map[string]variable{}, args: map[string]variable{},
	}
	get := func(name string) (string, bool) {
		v, ok := b.global[name]
		return v.value, ok && v.known
	}
	s.image, s.resolved = expand(s.written, b.source.escape, get)
	s.platform, _ = expand(in.flag("platform"), b.source.escape, get)
	s.parent = b.byName[strings.ToLower(s.image)]
	if s.parent != nil {
		s.workdir, s.healthy = s.parent.workdir, s.parent.healthy
	} else if s.image == "scratch" {
		s.workdir = "/"
	}
	if len(in.words) == 3 {
		s.name = strings.ToLower(in.words[2].text)
		b.byName[s.name] = s
	}
	b.list, b.latest = append(b.list, s), map[string]*instruction{}
	b.of[in] = s
	return nil
}

// instruction takes over what an instruction sets.
func (b *builder) instruction(in *instruction) {
	s := b.of[in]
	switch in.keyword {
	case "ARG":
		b.arg(in, s)
	case "ENV":
		b.env(in, s)
	case "USER":
		value, resolved := expand(in.rest(), b.source.escape, s.variable)
		s.user = &setting{value, resolved, in}
	case "WORKDIR":
		b.workdir(in, s)
	case "EXPOSE":
		b.expose(in, s)
	case "SHELL":
		s.shell = nil
		for _, w := range in.words {
			s.shell = append(s.shell, w.text)
		}
	case "RUN":
		b.run(in, s)
	case "HEALTHCHECK":
		s.healthy = !strings.EqualFold(strings.TrimSpace(in.rest()), "NONE")
	}
	switch in.keyword {
	case "CMD", "ENTRYPOINT", "HEALTHCHECK":
		if earlier := b.latest[in.keyword]; earlier != nil {
			b.replaced[earlier] = true
		}
		b.latest[in.keyword] = in
	}
}

// declare notes a variable.
func (b *builder) declare(d declared) {
	if len(b.declared) < maxItems {
		b.declared = append(b.declared, d)
	}
}

func (b *builder) arg(in *instruction, s *stage) {
	get := func(name string) (string, bool) {
		v, ok := b.global[name]
		return v.value, ok && v.known
	}
	if s != nil {
		get = s.variable
	}
	for _, w := range in.words {
		name, value, has := strings.Cut(w.text, "=")
		name = unquote(name, b.source.escape)
		value, known := expand(value, b.source.escape, get)
		v := variable{value, known && has}
		if !has && s != nil {
			v = b.global[name]
		}
		b.declare(declared{assignment{name, v.value, in.line.offset(w.from)}, "ARG", s, in})
		if s == nil {
			b.global[name] = v
		} else {
			s.args[name] = v
		}
	}
}

func (b *builder) env(in *instruction, s *stage) {
	type pair struct {
		name, value string
		at          int
	}
	var pairs []pair
	if len(in.words) > 0 && !strings.Contains(in.words[0].text, "=") {
		// The old form: ENV name value of many words.
		name := in.words[0]
		pairs = append(pairs, pair{name.text, strings.TrimSpace(in.line.text[name.to:]), name.from})
	} else {
		for _, w := range in.words {
			name, value, _ := strings.Cut(w.text, "=")
			pairs = append(pairs, pair{name, value, w.from})
		}
	}
	set := map[string]variable{}
	for _, p := range pairs {
		// All values of one ENV see the variables as they were before it.
		value, known := expand(p.value, b.source.escape, s.variable)
		name := unquote(p.name, b.source.escape)
		set[name] = variable{value, known}
		b.declare(declared{assignment{name, value, in.line.offset(p.at)}, "ENV", s, in})
	}
	maps.Copy(s.env, set)
}

func (b *builder) workdir(in *instruction, s *stage) {
	dir, resolved := expand(in.rest(), b.source.escape, s.variable)
	switch {
	case !resolved:
		s.workdir = ""
	case path.IsAbs(dir):
		s.workdir = path.Clean(dir)
	case s.workdir != "":
		s.workdir = path.Join(s.workdir, dir)
	}
	b.dirs[in] = s.workdir
}

func (b *builder) expose(in *instruction, s *stage) {
	for _, w := range in.words {
		text, _ := expand(w.text, b.source.escape, s.variable)
		p := port{from: -1, to: -1, protocol: "tcp", text: text, at: in.line.offset(w.from), in: in, stage: s}
		ports, protocol, has := strings.Cut(text, "/")
		if has {
			p.protocol = strings.ToLower(protocol)
		}
		if i := strings.LastIndexByte(ports, ':'); i >= 0 {
			ports = ports[i+1:] // of the form that docker run takes
		}
		first, last, ranged := strings.Cut(ports, "-")
		if !ranged {
			last = first
		}
		if from, to := portNumber(first), portNumber(last); from >= 0 && to >= 0 {
			p.from, p.to = from, to
		}
		if len(b.ports) < maxItems {
			b.ports = append(b.ports, p)
		}
	}
}

// portNumber reads a number, -1 for anything else. Numbers that are far too large
// are all one.
func portNumber(text string) int64 {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return -1
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 1 << 31
	}
	return n
}

// run reads the script of a RUN instruction.
func (b *builder) run(in *instruction, s *stage) {
	line := int(b.source.pos(in.start).Line)
	if shell := s.shellName(); !in.json && !slices.Contains(unixShells, shell) {
		b.Foreign = append(b.Foreign, Hole{line, fmt.Sprintf("the checks do not know the language of the shell %s: the commands of this RUN are not examined", shell)})
		return
	}
	sc := script{stage: s, in: in, vars: map[string]string{}, room: maxCommands - len(b.commands)}
	sc.run()
	if sc.room <= 0 {
		sc.holes = append(sc.holes, fmt.Sprintf("more than %d commands: the rest is not examined", maxCommands))
	}
	for _, reason := range slices.Compact(sc.holes) {
		b.Holes = append(b.Holes, Hole{line, reason})
	}
	b.commands = append(b.commands, sc.commands...)
	for _, c := range sc.commands {
		if !slices.Contains(s.programs, c.name) {
			s.programs = append(s.programs, c.name)
		}
	}
	for _, a := range sc.assignments {
		b.declare(declared{a, "RUN", s, in})
	}
}
