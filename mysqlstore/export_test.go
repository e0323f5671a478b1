package mysqlstore

import "time"

// SetLimiterTime changes how long the store's limiter waits for an answer, for tests that
// are not about that on a machine that may be slow.
func (s *Store) SetLimiterTime(d time.Duration) { s.limiter.within = d }
