package storetest_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/auth"
)

func (r *reference) key(key string) string {
	switch {
	case r.has("users: keys are folded"):
		return strings.ToLower(key)
	case r.has("users: keys are padded"):
		return strings.TrimRight(key, " ")
	case r.has("users: keys are cut"):
		return key[:min(len(key), 100)]
	}
	return key
}

func (r *reference) byKey(key string) (auth.UserRecord, bool) {
	for _, u := range r.users {
		if r.key(u.EmailKey) == r.key(key) {
			return u, true
		}
	}
	return auth.UserRecord{}, false
}

func (r *reference) nextID() auth.UserID {
	r.lastID++
	if r.has("users: IDs are given again") {
		r.lastID = len(r.users) + 1
	}
	if r.shared {
		if r.has("users: IDs with leading zeros") {
			return auth.UserID(fmt.Sprintf("%04d", r.lastID))
		}
		return auth.UserID(strconv.Itoa(r.lastID))
	}
	return auth.UserID(fmt.Sprintf("user-%d", r.lastID))
}

func (r *reference) CreateUser(ctx context.Context, n auth.NewUser) (auth.UserID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return "", err
	}
	u, taken := r.byKey(n.EmailKey)
	r.others("users: looks, then inserts")
	switch {
	case taken && r.has("users: a duplicate changes the first"):
		u.Name = n.Name
		r.users[u.ID] = u
		return "", auth.ErrEmailTaken
	case taken && r.has("users: a duplicate is unavailable"):
		return "", fmt.Errorf("reference: deadlock: %w", auth.ErrUnavailable)
	case taken:
		return "", auth.ErrEmailTaken
	}
	id := r.nextID()
	u = auth.UserRecord{
		User:     auth.User{ID: id, Name: n.Name, Email: n.Email},
		EmailKey: n.EmailKey, PasswordHash: n.PasswordHash, AuthVersion: 1, CreatedAt: r.now(),
	}
	switch {
	case r.has("users: the address is the key"):
		u.Email = n.EmailKey
	case r.has("users: names are cut by bytes"):
		u.Name = n.Name[:min(len(n.Name), 255)]
	case r.has("users: names are escaped"):
		u.Name = strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(n.Name)
	case r.has("users: hashes are cut"):
		u.PasswordHash = n.PasswordHash[:min(len(n.PasswordHash), 60)]
	case r.has("users: AuthVersion from 0"):
		u.AuthVersion = 0
	case r.has("users: CreatedAt by another clock"):
		u.CreatedAt = time.Now()
	}
	r.users[id] = u
	return id, r.after(ctx)
}

func (r *reference) UserByEmail(ctx context.Context, key string) (auth.UserRecord, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.done(ctx); err != nil {
		return auth.UserRecord{}, err
	}
	u, ok := r.byKey(key)
	if !ok && !r.has("users: unknown is no error") {
		return auth.UserRecord{}, auth.ErrUserNotFound
	}
	return u, nil
}

func (r *reference) UserByID(ctx context.Context, id auth.UserID) (auth.UserRecord, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.done(ctx); err != nil {
		return auth.UserRecord{}, err
	}
	if u, ok := r.users[r.id(id)]; ok {
		return u, nil
	}
	return auth.UserRecord{}, auth.ErrUserNotFound
}

// id is the ID as the store reads it.
func (r *reference) id(id auth.UserID) auth.UserID {
	switch {
	case r.has("users: IDs are trimmed"):
		return auth.UserID(strings.TrimSpace(string(id)))
	case r.has("users: IDs are read as numbers"):
		n, _ := strconv.Atoi(string(id))
		return auth.UserID(strconv.Itoa(n))
	}
	return id
}

func (r *reference) UpdatePassword(ctx context.Context, id auth.UserID, old, hash string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return false, err
	}
	u, ok := r.users[r.id(id)]
	equal := u.PasswordHash == old || r.has("passwords: no comparison")
	if r.has("passwords: comparison by collation") {
		equal = strings.EqualFold(u.PasswordHash, old)
	}
	if !ok || !equal {
		return false, nil
	}
	r.others("passwords: read, then written")
	if r.has("passwords: the rehash ends sessions") {
		u.AuthVersion++
	}
	u.PasswordHash = hash
	r.users[u.ID] = u
	return true, r.after(ctx)
}
