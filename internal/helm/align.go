package helm

import (
	"slices"
	"strings"
	"text/template/parse"

	"seawall.io/seawall"
)

// maxAlign bounds the table of a line alignment, rendered lines times template
// lines.
const maxAlign = 16 << 20

// align guesses, for each line of a rendered text, the line of the template
// that wrote it: the longest common sequence of lines that begin alike decides,
// and a line in between belongs to the last action before it. 0 is unknown.
// It is for the rare template that cannot be rendered with marks.
func align(template, rendered string) []int {
	from, to := strings.Split(template, "\n"), strings.Split(rendered, "\n")
	out := make([]int, len(to))
	if len(from)*len(to) > maxAlign {
		return out
	}
	keys := make([]string, len(from))
	for i, line := range from {
		keys[i] = skeleton(line)
	}
	width := len(to) + 1
	best := make([]uint32, (len(from)+1)*width)
	for i, key := range slices.Backward(keys) {
		for j, line := range slices.Backward(to) {
			b := max(best[(i+1)*width+j], best[i*width+j+1])
			if alike(key, line) {
				b = max(b, best[(i+1)*width+j+1]+1)
			}
			best[i*width+j] = b
		}
	}
	for i, j := 0, 0; i < len(from) && j < len(to); {
		switch here := best[i*width+j]; {
		case alike(keys[i], to[j]) && here == best[(i+1)*width+j+1]+1:
			out[j] = i + 1
			i, j = i+1, j+1
		case here == best[(i+1)*width+j]:
			i++
		default:
			j++
		}
	}
	fillGaps(out, from)
	return out
}

// skeleton returns what a line of a template surely begins with.
func skeleton(line string) string {
	line, _, _ = strings.Cut(line, "{{")
	return strings.TrimSpace(line)
}

func alike(key, rendered string) bool {
	return key != "" && strings.HasPrefix(strings.TrimSpace(rendered), key)
}

// fillGaps gives lines without a counterpart to the action that stands between
// those around them, else to the line before.
func fillGaps(out []int, from []string) {
	last := 0
	for j, line := range out {
		if line != 0 {
			last = line
			continue
		}
		out[j] = last
		for i := last; i < len(from); i++ {
			if skeleton(from[i]) != "" {
				break
			}
			if strings.Contains(from[i], "{{") && !strings.Contains(from[i], "{{- end") {
				out[j] = i + 1
				break
			}
		}
	}
}

// alignedValue names the value in the actions of a template's line.
func (t *tracer) alignedValue(line int) *seawall.ChartValue {
	if line == 0 {
		return nil
	}
	for _, s := range t.program.marked().sites {
		if s.define.src != t.src {
			continue
		}
		if _, ok := s.node.(*parse.ActionNode); !ok {
			continue
		}
		if at, _ := t.src.position(int(s.node.Position())); at != line {
			continue
		}
		if v := t.choose(&moment{site: s, nth: make([]int, len(s.ranges))}, nil); v != nil {
			return v
		}
	}
	return nil
}
