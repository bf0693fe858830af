package report

import (
	"bufio"

	"seawall.io/seawall"
)

func writeSARIF(*bufio.Writer, *seawall.Report, *Options) error         { return nil }
func writeJUnit(*bufio.Writer, *seawall.Report, *Options) error         { return nil }
func writeMarkdown(*bufio.Writer, *seawall.Report, *Options) error      { return nil }
func writeHTML(*bufio.Writer, *seawall.Report, *Options) error          { return nil }
func writeOpenReports(*bufio.Writer, *seawall.Report, *Options) error   { return nil }
func writePolicyReports(*bufio.Writer, *seawall.Report, *Options) error { return nil }
