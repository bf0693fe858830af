package helm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"strings"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/Masterminds/sprig/v3"
	"github.com/gobwas/glob"
	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"

	"seawall.io/seawall/internal/helm/chart"
)

const (
	maxText   = 16 << 20 // a string that one function returns
	maxList   = 1 << 20  // items of a list that one function returns
	maxIndent = 1 << 12
)

var errSize = errors.New("the result is larger than a manifest can be")

// functions returns the functions that Helm gives to templates, without those
// that need the template set (include, tpl). What would differ from one
// rendering to the next is fixed: random strings, keys and certificates are
// placeholders, so that two scans of one chart agree.
func functions() template.FuncMap {
	f := sprig.TxtFuncMap()
	delete(f, "env")
	delete(f, "expandenv")
	maps.Copy(f, encodings())
	maps.Copy(f, durations())
	maps.Copy(f, bounded())
	maps.Copy(f, settled())
	for name, fn := range f {
		f[name] = limitResult(fn)
	}
	return f
}

// limitResult wraps a function that can double its input, so that a chain of
// such calls ends long before memory does.
func limitResult(fn any) any {
	v := reflect.ValueOf(fn)
	t := v.Type()
	if t.NumOut() == 0 {
		return fn
	}
	kind := t.Out(0).Kind()
	if kind != reflect.String && kind != reflect.Slice && kind != reflect.Interface {
		return fn
	}
	call := v.Call
	if t.IsVariadic() {
		call = v.CallSlice
	}
	return reflect.MakeFunc(t, func(args []reflect.Value) []reflect.Value {
		out := call(args)
		r := out[0]
		if r.Kind() == reflect.Interface {
			r = r.Elem()
		}
		if (r.Kind() == reflect.String && r.Len() > maxText) || (r.Kind() == reflect.Slice && r.Len() > max(maxText, maxList)) {
			panic(errSize)
		}
		return out
	}).Interface()
}

// encodings are Helm's own functions for YAML, JSON and TOML.
func encodings() template.FuncMap {
	return template.FuncMap{
		"toYaml":        func(v any) string { s, _ := toYAML(v); return s },
		"mustToYaml":    toYAML,
		"toYamlPretty":  toYAMLPretty,
		"fromYaml":      func(s string) map[string]any { return parseMap(s, yamlInto) },
		"fromYamlArray": func(s string) []any { return parseList(s, yamlInto) },
		"toJson":        func(v any) string { s, _ := toJSON(v); return s },
		"mustToJson":    toJSON,
		"fromJson":      func(s string) map[string]any { return parseMap(s, json.Unmarshal) },
		"fromJsonArray": func(s string) []any { return parseList(s, json.Unmarshal) },
		"toToml": func(v any) string {
			s, err := toTOML(v)
			if err != nil {
				return err.Error()
			}
			return s
		},
		"mustToToml": toTOML,
		"fromToml":   func(s string) map[string]any { return parseMap(s, toml.Unmarshal) },
	}
}

func toYAML(v any) (string, error) {
	text, err := yaml.Marshal(v)
	return strings.TrimSuffix(string(text), "\n"), err
}

func toYAMLPretty(v any) string {
	var b bytes.Buffer
	enc := goyaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return "" // as Helm does
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

func toTOML(v any) (string, error) {
	var b bytes.Buffer
	err := toml.NewEncoder(&b).Encode(v)
	return b.String(), err
}

func yamlInto(text []byte, into any) error { return yaml.Unmarshal(text, into) }

// parseMap returns what text holds, or its error under the key Error.
func parseMap(text string, parse func([]byte, any) error) map[string]any {
	m := map[string]any{}
	if err := parse([]byte(text), &m); err != nil {
		if m == nil {
			m = map[string]any{}
		}
		m["Error"] = err.Error()
	}
	return m
}

// parseList returns what text holds, or its error as the only item.
func parseList(text string, parse func([]byte, any) error) []any {
	list := []any{}
	if err := parse([]byte(text), &list); err != nil {
		return []any{err.Error()}
	}
	return list
}

// durations are Helm's functions for lengths of time.
func durations() template.FuncMap {
	part := func(f func(time.Duration) any) any {
		return func(v any) any { d, _ := toDuration(v); return f(d) }
	}
	two := func(f func(d, m time.Duration) time.Duration) any {
		return func(v, m any) time.Duration {
			d, err := toDuration(v)
			if err != nil {
				return 0
			}
			unit, err := toDuration(m)
			if err != nil {
				return d
			}
			return f(d, unit)
		}
	}
	return template.FuncMap{
		"mustToDuration":       toDuration,
		"durationSeconds":      part(func(d time.Duration) any { return d.Seconds() }),
		"durationMilliseconds": part(func(d time.Duration) any { return d.Milliseconds() }),
		"durationMicroseconds": part(func(d time.Duration) any { return d.Microseconds() }),
		"durationNanoseconds":  part(func(d time.Duration) any { return d.Nanoseconds() }),
		"durationMinutes":      part(func(d time.Duration) any { return d.Minutes() }),
		"durationHours":        part(func(d time.Duration) any { return d.Hours() }),
		"durationDays":         part(func(d time.Duration) any { return d.Hours() / 24 }),
		"durationWeeks":        part(func(d time.Duration) any { return d.Hours() / 24 / 7 }),
		"durationRoundTo":      two(time.Duration.Round),
		"durationTruncateTo":   two(time.Duration.Truncate),
	}
}

// toDuration reads a duration, its text or a number of seconds.
func toDuration(v any) (time.Duration, error) {
	switch x := v.(type) {
	case nil:
		return 0, errors.New("invalid duration")
	case time.Duration:
		return x, nil
	case string:
		x = strings.TrimSpace(x)
		if d, err := time.ParseDuration(x); err == nil {
			return d, nil
		}
		d, err := time.ParseDuration(x + "s")
		if err != nil {
			return 0, fmt.Errorf("could not parse duration %q", x)
		}
		return d, nil
	}
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return time.Duration(r.Int()) * time.Second, nil
	case r.CanUint():
		return time.Duration(r.Uint()) * time.Second, nil //nolint:gosec // overflow gives a wrong duration, as does the template
	case r.CanFloat():
		return time.Duration(r.Float() * float64(time.Second)), nil
	}
	return 0, fmt.Errorf("unsupported duration type %T", v)
}

// bounded are functions whose result grows with a number, not with the input.
func bounded() template.FuncMap {
	f := sprig.TxtFuncMap()
	repeat := f["repeat"].(func(int, string) string)
	until := f["until"].(func(int) []int)
	untilStep := f["untilStep"].(func(int, int, int) []int)
	indent := f["indent"].(func(int, string) string)
	nindent := f["nindent"].(func(int, string) string)
	replace := f["replace"].(func(string, string, string) string)
	seq := f["seq"].(func(...int) string)
	return template.FuncMap{
		"print":   fmt.Sprint, // as text/template's own; here so that their results are limited too
		"printf":  fmt.Sprintf,
		"println": fmt.Sprintln,
		"repeat": func(n int, s string) (string, error) {
			if n > 0 && len(s) > maxText/n {
				return "", errSize
			}
			return repeat(n, s), nil
		},
		"until": func(n int) ([]int, error) {
			if n > maxList || n < -maxList {
				return nil, errSize
			}
			return until(n), nil
		},
		"untilStep": func(start, stop, step int) ([]int, error) {
			if step != 0 && (stop-start)/step > maxList {
				return nil, errSize
			}
			return untilStep(start, stop, step), nil
		},
		"seq": func(args ...int) (string, error) {
			for _, n := range args {
				if n > maxList || n < -maxList {
					return "", errSize
				}
			}
			return seq(args...), nil
		},
		"indent":  limitIndent(indent),
		"nindent": limitIndent(nindent),
		"replace": func(old, by, src string) (string, error) {
			if n := strings.Count(src, old); n > 0 && len(by) > maxText/n {
				return "", errSize
			}
			return replace(old, by, src), nil
		},
	}
}

func limitIndent(f func(int, string) string) any {
	return func(n int, s string) (string, error) {
		if n > maxIndent || (n > 0 && strings.Count(s, "\n") > maxText/n) {
			return "", errSize
		}
		return f(n, s), nil
	}
}

// keyPair is what sprig's certificate functions return.
type keyPair struct{ Cert, Key string }

// settled are the functions whose results differ from call to call, or that
// reach out of the process, each with one fixed answer.
func settled() template.FuncMap {
	placeholder := func(n int) (string, error) {
		if n > maxIndent {
			return "", errSize
		}
		return strings.Repeat("x", max(n, 0)), nil
	}
	pair := func(...any) keyPair {
		return keyPair{ //nolint:gosec // no key at all
			Cert: "-----BEGIN CERTIFICATE-----\nplaceholder\n-----END CERTIFICATE-----\n",
			Key:  "-----BEGIN RSA PRIVATE KEY-----\nplaceholder\n-----END RSA PRIVATE KEY-----\n",
		}
	}
	return template.FuncMap{
		"randAlphaNum": placeholder,
		"randAlpha":    placeholder,
		"randAscii":    placeholder,
		"randNumeric": func(n int) (string, error) {
			s, err := placeholder(n)
			return strings.ReplaceAll(s, "x", "0"), err
		},
		"randBytes": func(n int) (string, error) {
			s, err := placeholder(n)
			return base64.StdEncoding.EncodeToString([]byte(s)), err
		},
		"randInt":                  func(low, _ int) int { return low },
		"shuffle":                  func(s string) string { return s },
		"uuidv4":                   func() string { return "00000000-0000-4000-8000-000000000000" },
		"genPrivateKey":            func(string) string { return pair().Key },
		"genCA":                    pair,
		"genCAWithKey":             pair,
		"genSelfSignedCert":        pair,
		"genSelfSignedCertWithKey": pair,
		"genSignedCert":            pair,
		"genSignedCertWithKey":     pair,
		"buildCustomCert":          pair,
		"bcrypt":                   func(string) string { return "$2a$10$placeholder" },
		"htpasswd":                 func(user, _ string) string { return user + ":$2a$10$placeholder" },
		"derivePassword":           func(...any) string { return "placeholder" },
		"encryptAES":               func(_, _ string) string { return "placeholder" },
		"getHostByName":            func(string) string { return "" },
		"lookup": func(string, string, string, string) map[string]any {
			return map[string]any{} // no cluster
		},
		"required": func(msg string, v any) (any, error) {
			if s, ok := v.(string); v == nil || (ok && s == "") {
				return v, refusal{msg: msg}
			}
			return v, nil
		},
		"fail": func(msg string) (string, error) { return "", refusal{msg: msg, fail: true} },
	}
}

// refusal is a template's own complaint about its values.
type refusal struct {
	msg  string
	fail bool
}

// Error returns the complaint.
func (r refusal) Error() string { return r.msg }

// chartFiles is .Files: the files of a chart that are neither templates nor
// values.
type chartFiles map[string][]byte

func newFiles(from []*chart.File) chartFiles {
	f := make(chartFiles, len(from))
	for _, file := range from {
		f[file.Name] = file.Data
	}
	return f
}

// GetBytes returns the content of a file, empty when there is none.
func (f chartFiles) GetBytes(name string) []byte {
	if text, ok := f[name]; ok {
		return text
	}
	return []byte{}
}

// Get returns the content of a file, empty when there is none.
func (f chartFiles) Get(name string) string { return string(f.GetBytes(name)) }

// Glob returns the files whose names match.
func (f chartFiles) Glob(pattern string) chartFiles {
	out := make(chartFiles)
	g, err := glob.Compile(pattern, '/')
	if err != nil {
		g = glob.MustCompile("**") // as Helm does
	}
	for name, text := range f {
		if g.Match(name) {
			out[name] = text
		}
	}
	return out
}

// AsConfig returns the files as the data of a ConfigMap.
func (f chartFiles) AsConfig() string { return f.asYAML(func(b []byte) string { return string(b) }) }

// AsSecrets returns the files as the data of a Secret.
func (f chartFiles) AsSecrets() string { return f.asYAML(base64.StdEncoding.EncodeToString) }

func (f chartFiles) asYAML(encode func([]byte) string) string {
	if f == nil {
		return ""
	}
	m := make(map[string]string, len(f))
	for name, text := range f {
		m[path.Base(name)] = encode(text)
	}
	s, _ := toYAML(m)
	return s
}

// Lines returns the lines of a file.
func (f chartFiles) Lines(name string) []string {
	text := string(f[name])
	if text == "" {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
