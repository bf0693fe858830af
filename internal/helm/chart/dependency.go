package chart

import (
	"fmt"
	"slices"
	"strings"
)

// Settle decides which sub-charts take part, by the conditions and tags of
// Chart.yaml, gives them their aliases, and takes over the values that charts
// import from below. It changes the chart.
func (c *Chart) Settle(given map[string]any) error {
	if err := c.choose(given, ""); err != nil {
		return err
	}
	return c.importValues()
}

// choose keeps the sub-charts that are enabled. prefix is the path of the
// chart's own values in given.
func (c *Chart) choose(given map[string]any, prefix string) error {
	wanted := c.Metadata.Dependencies
	if wanted == nil {
		return nil
	}
	present := c.subs
	c.subs = nil
	for _, sub := range present { // those that Chart.yaml does not mention always take part
		if !slices.ContainsFunc(wanted, func(d *Dependency) bool { return d.is(sub) }) {
			c.adopt(sub)
		}
	}
	for _, d := range wanted {
		if i := slices.IndexFunc(present, d.is); i >= 0 {
			c.adopt(present[i].as(d.Alias))
		}
		if d.Alias != "" {
			d.Name = d.Alias
		}
	}
	values, err := c.Coalesce(given)
	if err != nil {
		return err
	}
	disabled := make(map[string]bool)
	for _, d := range wanted {
		if d.Enabled = d.enabled(values, prefix); !d.Enabled {
			disabled[d.Name] = true
		}
	}
	c.subs = slices.DeleteFunc(c.subs, func(sub *Chart) bool { return disabled[sub.Name()] })
	c.Metadata.Dependencies = slices.DeleteFunc(slices.Clone(wanted), func(d *Dependency) bool { return disabled[d.Name] })
	if len(c.Metadata.Dependencies) == 0 {
		c.Metadata.Dependencies = nil // nothing can be imported any more
	}
	for _, sub := range c.subs {
		if err := sub.choose(values, prefix+sub.Name()+"."); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dependency) is(c *Chart) bool {
	return c.Name() == d.Name && InRange(d.Version, c.Metadata.Version)
}

// as returns a copy of a chart under another name, if there is one. One chart
// can stand under several.
func (c *Chart) as(alias string) *Chart {
	out := *c
	meta := *c.Metadata
	out.Metadata = &meta
	meta.Dependencies = slices.Clone(meta.Dependencies)
	for i, d := range meta.Dependencies {
		own := *d
		meta.Dependencies[i] = &own
	}
	out.subs = nil
	for _, sub := range c.subs {
		own := *sub
		out.adopt(&own)
	}
	if alias != "" {
		meta.Name = alias
	}
	return &out
}

// enabled asks the first condition that is true or false, else the tags, of
// which one that is true outweighs any that are false.
func (d *Dependency) enabled(values Values, prefix string) bool {
	for path := range strings.SplitSeq(strings.TrimSpace(d.Condition), ",") {
		if path == "" {
			continue
		}
		if v, err := values.PathValue(prefix + path); err == nil {
			if on, ok := v.(bool); ok {
				return on
			}
		}
	}
	tags, err := values.Table("tags")
	if err != nil {
		return true
	}
	on, off := false, false
	for _, tag := range d.Tags {
		if v, ok := tags[tag].(bool); ok {
			on, off = on || v, off || !v
		}
	}
	return on || !off
}

// importValues takes over what charts import from their sub-charts, from the
// bottom upwards. A chart's own defaults are stronger than what it imports.
func (c *Chart) importValues() error {
	for _, sub := range c.subs {
		if err := sub.importValues(); err != nil {
			return err
		}
	}
	if c.Metadata.Dependencies == nil {
		return nil
	}
	m, values := newMerge(keepNulls), map[string]any{}
	if err := m.chart(c, values); err != nil {
		return err
	}
	imported := map[string]any{}
	for _, d := range c.Metadata.Dependencies {
		var pairs []any
		for _, v := range d.ImportValues {
			var child, parent string
			switch v := v.(type) {
			case string:
				child, parent = "exports."+v, "."
			case map[string]any:
				child, parent = fmt.Sprint(v["child"]), fmt.Sprint(v["parent"])
			default:
				continue
			}
			pairs = append(pairs, map[string]string{"child": child, "parent": parent})
			table, err := Values(values).Table(d.Name + "." + child)
			if err != nil {
				continue // the sub-chart has no such values: Helm warns
			}
			m.fill(imported, under(parent, table.AsMap()), keepNulls)
		}
		d.ImportValues = pairs
	}
	c.Values = m.copy(values)
	m.fill(c.Values, imported, keepNulls)
	return m.err()
}

// under returns a map that holds another at a path with dots.
func under(path string, m map[string]any) map[string]any {
	if path == "." {
		return m
	}
	for _, key := range slices.Backward(strings.Split(path, ".")) {
		m = map[string]any{key: m}
	}
	return m
}
