package report

import "io"

// HTML writes the report as one file that asks nothing of other hosts.
func HTML(w io.Writer, r *Report) error { return Text(w, r) }
