package memstore

import "github.com/ostiary/auth"

// BumpAuthVersion raises the user's AuthVersion and leaves the rows of their sessions be,
// so that a test sees what the version alone does.
func (s *Store) BumpAuthVersion(id auth.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[id].AuthVersion++
}
