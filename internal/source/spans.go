package source

// Secrets tells where a text holds what [Redact] would take out, as pairs of
// offsets; they may overlap. It is for those who must overwrite secrets where
// they stand.
func Secrets(s string) (spans [][2]int) {
	may := secretsIn(s)
	if may == 0 {
		return nil
	}
	for i, re := range secretShapes {
		if may&(1<<i) == 0 {
			continue
		}
		for _, m := range re.FindAllStringSubmatchIndex(s, -1) {
			from, to := m[3], m[1] // behind the first group
			if i == shapeURL {
				to-- // the @ stays
			}
			if from < to {
				spans = append(spans, [2]int{from, to})
			}
		}
	}
	return spans
}
