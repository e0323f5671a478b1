package auth

import "context"

// Finding is something that a host has set up wrongly, and how to mend it. Neither text
// holds a secret.
type Finding struct {
	Problem string
	Mend    string
}

// String is the problem and its mend in one line.
func (f Finding) String() string { return f.Problem + ": " + f.Mend }

// Check returns what is set up wrongly in the stores, for the host's log at start. It may
// read a whole table. Stores without a Check are not looked at. An error says that the
// look itself failed.
func (a *Authenticator) Check(ctx context.Context) ([]Finding, error) {
	if a.stores.Check == nil {
		return nil, nil
	}
	return a.stores.Check(ctx, a.cfg.HashCost)
}
