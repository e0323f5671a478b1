package passhash

// Dummy lets the tests see what stands in for a user's hash.
var Dummy = dummy

// Params returns the parameters of a stored hash, the zero value for one of bcrypt.
func Params(stored string) (Argon2id, error) {
	h, err := parse(stored)
	return h.argon2id.Argon2id, err
}
