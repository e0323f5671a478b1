package auth

import "github.com/ostiary/auth/limit"

// Policy is a budget of the limits, by the name that events have for it.
type Policy struct {
	Name string
	limit.Bucket
}

// Policies are the budgets of docs/security.md, in its order.
func Policies() []Policy {
	return []Policy{
		{"login_ip", loginsByIP},
		{"login_account", loginsByAccount},
		{"login_device", loginsByDevice},
		{"signup_ip", signupsByIP},
		{"signup_taken", takenByIP},
	}
}
