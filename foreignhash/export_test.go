package foreignhash

// Cost returns the work that a text asks for, as a part of the most that is allowed.
func Cost(stored string) (float64, error) {
	h, err := parse(stored)
	return h.cost, err
}
