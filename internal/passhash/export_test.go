package passhash

// Dummy lets the tests see what stands in for a user's hash.
var Dummy = dummy
