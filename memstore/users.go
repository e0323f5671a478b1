package memstore

import (
	"context"
	"strconv"

	"github.com/ostiary/auth"
)

// CreateUser implements [auth.UserStore].
func (s *Store) CreateUser(ctx context.Context, u auth.NewUser) (auth.UserID, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, taken := s.keys[u.EmailKey]; taken {
		return "", auth.ErrEmailTaken
	}
	created := s.now()
	s.lastID++
	id := auth.UserID(strconv.FormatInt(s.lastID, 10))
	s.keys[u.EmailKey] = id
	s.users[id] = &auth.UserRecord{
		User:         auth.User{ID: id, Name: u.Name, Email: u.Email},
		EmailKey:     u.EmailKey,
		PasswordHash: u.PasswordHash,
		AuthVersion:  1,
		CreatedAt:    created,
	}
	return id, nil
}

// UserByEmail implements [auth.UserStore].
func (s *Store) UserByEmail(ctx context.Context, emailKey string) (auth.UserRecord, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return auth.UserRecord{}, err
	}
	defer unlock()
	return s.user(s.keys[emailKey])
}

// UserByID implements [auth.UserStore].
func (s *Store) UserByID(ctx context.Context, id auth.UserID) (auth.UserRecord, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return auth.UserRecord{}, err
	}
	defer unlock()
	return s.user(id)
}

func (s *Store) user(id auth.UserID) (auth.UserRecord, error) {
	u, ok := s.users[id]
	if !ok {
		return auth.UserRecord{}, auth.ErrUserNotFound
	}
	return *u, nil
}

// UpdatePassword implements [auth.UserStore]. A user that is not there is not swapped.
func (s *Store) UpdatePassword(ctx context.Context, id auth.UserID, old, hash string) (swapped bool, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	u, ok := s.users[id]
	if !ok || u.PasswordHash != old {
		return false, nil
	}
	u.PasswordHash = hash
	return true, nil
}
