package auth

// OnHash has f called with the cost of each run of bcrypt, before it.
func (a *Authenticator) OnHash(f func(cost int)) { a.hasher.OnHash = f }
