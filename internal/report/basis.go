package report

import (
	"fmt"
	"strconv"
	"strings"

	"seawall.io/seawall"
)

// oldDays is the age in days from which on a vulnerability database is too old to
// be relied on: most flaws that are exploited at all are within weeks.
const oldDays = 5

// maxGaps is how many sources that a database lacks are named.
const maxGaps = 10

// ownObject says that a subject is not an object of a cluster but one that Seawall
// made to be judged: an image or a file.
func ownObject(s *seawall.Subject, kind string) bool {
	return s.Kind == kind && strings.HasPrefix(s.APIVersion, "seawall.io/")
}

// subjectName names a subject for people.
func subjectName(s *seawall.Subject) string {
	name := s.String()
	switch {
	case s.Kind == "" && s.Image != "":
		name = "image " + s.Image
	case ownObject(s, "Image") && s.Name != "":
		name = "image " + s.Name
	case ownObject(s, "SourceFile") && s.Name != "":
		name = s.Name
	}
	return clean(name)
}

// imageOf returns what was read of the image that a group is about, or nil.
func imageOf(r *seawall.Report, g *group) *seawall.ImageCoverage {
	if !ownObject(&g.Subject, "Image") {
		return nil
	}
	for i := range r.Coverage.Images {
		if r.Coverage.Images[i].Name == g.Subject.Name {
			return &r.Coverage.Images[i]
		}
	}
	return nil
}

// imageFacts says what an image is: distribution, packages, size.
func imageFacts(c *seawall.ImageCoverage) string {
	var parts []string
	for _, s := range []string{c.Distro, c.Platform} {
		if s != "" {
			parts = append(parts, clean(s))
		}
	}
	parts = append(parts, number(c.Packages, "package")+" in "+number(c.Layers, "layer"),
		number(c.Files, "file")+" of "+megabytes(c.Size))
	return strings.Join(parts, ", ")
}

// ruledOut says how many flaws a version number alone would have held against
// an image.
func ruledOut(c *seawall.ImageCoverage) string {
	if c.NotAffected == 0 {
		return ""
	}
	return number(c.NotAffected, "vulnerability") + " ruled out by evidence"
}

// megabytes writes a size in units of a million bytes.
func megabytes(n int64) string {
	switch {
	case n < 0:
		return "unknown size"
	case n < 1_000_000:
		return strconv.FormatInt((n+999)/1000, 10) + " kB"
	default:
		return strconv.FormatInt((n+500_000)/1_000_000, 10) + " MB"
	}
}

// databaseFacts says which database the images were held against.
func databaseFacts(d *seawall.DatabaseCoverage) string {
	parts := make([]string, 0, 3)
	if d.Built != "" {
		parts = append(parts, "built "+clean(d.Built)+", "+age(d.AgeDays))
	}
	parts = append(parts, number(d.Records, "record"))
	if d.Signed {
		parts = append(parts, "signed")
	} else {
		parts = append(parts, "not signed")
	}
	return clean(d.File) + ": " + strings.Join(parts, ", ")
}

func age(days int) string {
	if days <= 0 {
		return "less than a day old"
	}
	return number(days, "day") + " old"
}

// databaseWarnings says why a database does not tell all that is known.
func databaseWarnings(d *seawall.DatabaseCoverage) []string {
	if d == nil {
		return nil
	}
	var out []string
	if d.AgeDays > oldDays {
		out = append(out, fmt.Sprintf("the vulnerability database is %d days old and knows nothing newer: run `seawall db update`", d.AgeDays))
	}
	if len(d.Gaps) > 0 {
		out = append(out, fmt.Sprintf("the vulnerability database lacks %s, and what only those know is not in this report: %s",
			number(len(d.Gaps), "source"), few(d.Gaps, maxGaps)))
	}
	return out
}
