package lab

var (
	slowness, replies, permissions, controls []Scenario
)
