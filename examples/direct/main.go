// Command direct uses auth without HTTP: it signs a user up, and a row of its own is
// written in the same transaction; then it logs the user in, refreshes and logs out.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/mysqlstore"
)

const createCustomers = `CREATE TABLE IF NOT EXISTS customers (
	user_id BIGINT NOT NULL PRIMARY KEY,
	plan VARCHAR(20) NOT NULL,
	FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
)`

// addCustomer makes every user a customer. If it fails, there is no user either.
func addCustomer(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO customers (user_id, plan) VALUES (?, 'free')", string(id))
	return err
}

func main() {
	dsn := flag.String("dsn", "", "data source `name` of a MySQL database")
	email := flag.String("email", "ann@example.com", "e-mail `address` to sign up")
	app.Main(func(ctx context.Context, logger *slog.Logger) error {
		db, err := sql.Open("mysql", *dsn)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		return run(ctx, db, *email, logger)
	})
}

func run(ctx context.Context, db *sql.DB, email string, logger *slog.Logger) error {
	store := mysqlstore.New(db, mysqlstore.Options{AfterCreate: addCustomer})
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, createCustomers); err != nil {
		return err
	}
	a, err := auth.New(store.Stores(), auth.Config{Tokens: app.RandomKeys(logger), Logger: logger})
	if err != nil {
		return err
	}
	if err := app.Check(ctx, a, logger); err != nil {
		return err
	}
	const password = "correct horse"

	user, err := a.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: email, Password: password})
	var invalid *auth.ValidationError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("sign-up: %v", invalid.Fields)
	case errors.Is(err, auth.ErrEmailTaken):
		fmt.Println("the address was signed up before")
	case err != nil:
		return err
	default:
		fmt.Println("signed up: user", user.ID)
	}

	tokens, err := a.Login(ctx, auth.LoginInput{Email: email, Password: password})
	if err != nil {
		return err
	}
	claims, err := a.Verify(tokens.AccessToken)
	if err != nil {
		return err
	}
	if user, err = a.Profile(ctx, claims.UserID); err != nil {
		return err
	}
	var plan string
	if err := db.QueryRowContext(ctx, "SELECT plan FROM customers WHERE user_id = ?", string(user.ID)).Scan(&plan); err != nil {
		return err
	}
	fmt.Printf("logged in: user %s, %s, plan %s\n", user.ID, user.Name, plan)

	if tokens, err = a.Refresh(ctx, tokens.RefreshToken, auth.Client{}); err != nil {
		return err
	}
	fmt.Println("refreshed: session", tokens.SessionID)
	if err := a.Logout(ctx, tokens.RefreshToken); err != nil {
		return err
	}
	if _, err = a.Refresh(ctx, tokens.RefreshToken, auth.Client{}); !errors.Is(err, auth.ErrInvalidToken) {
		return fmt.Errorf("the session goes on after its logout: %w", err)
	}
	fmt.Println("logged out")
	return nil
}
