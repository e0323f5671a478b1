package gate

// Remembered is how many clients the gate keeps something for.
func (g *Gate) Remembered() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(len(g.queues), len(g.turns[0])+len(g.turns[1]))
}
