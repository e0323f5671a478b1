package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/mysqlstore"
)

// user is one who can log in.
type user struct{ email, password string }

// prepare makes the tables and the users: one whose profile is read, then one for each
// connection that logs in. They have one password, so that it is hashed once.
func prepare(ctx context.Context, p plan) (db *sql.DB, users []user, err error) {
	if db, err = sql.Open("mysql", p.dsn); err != nil {
		return nil, nil, err
	}
	if users, err = createUsers(ctx, db, 1+p.logins); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, users, nil
}

func createUsers(ctx context.Context, db *sql.DB, n int) ([]user, error) {
	store := mysqlstore.New(db, mysqlstore.Options{})
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	stores := store.Stores()
	a, err := auth.New(stores, auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys:  []auth.Key{auth.HMACKey([]byte(rand.Text() + rand.Text()))},
			RefreshKeys: []auth.Key{auth.HMACKey([]byte(rand.Text() + rand.Text()))},
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	users := []user{{"user0@example.com", password}}
	if _, err := a.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: users[0].email, Password: password}); err != nil {
		return nil, fmt.Errorf("name an empty database: %w", err)
	}
	first, err := stores.Users.UserByEmail(ctx, users[0].email)
	if err != nil {
		return nil, err
	}
	for i := 1; i < n; i++ {
		u := user{fmt.Sprintf("user%d@example.com", i), password}
		users = append(users, u)
		if _, err := stores.Users.CreateUser(ctx, auth.NewUser{Name: "Ann Lee", Email: u.email, EmailKey: u.email, PasswordHash: first.PasswordHash}); err != nil {
			return nil, err
		}
	}
	return users, nil
}
