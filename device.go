package auth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
)

// A device token says that a device has logged in to an account before, so that its
// attempts have a budget of their own: nobody can lock its user out by failing to log in
// from elsewhere. It is no credential. It is the base64url of
//
//	nonce (16 bytes) | stamp (8) | HMAC-SHA-256 of those and the e-mail key
//
// under a key derived from a refresh key (RFC 5869). The e-mail key itself is not in it. The
// stamp is of the user's ID and AuthVersion: the token ends with the password that it was
// given for, or with the user, also where another one has the address then; or with its key.
const (
	deviceLabel   = "github.com/ostiary/auth device token"
	deviceSigned  = len(device{}.nonce) + len(device{}.stamp)
	deviceTokenSz = deviceSigned + sha256.Size
)

// device is a device token that is ours and for the e-mail key which it was read for.
type device struct {
	nonce [16]byte
	stamp [8]byte
}

// isOf says whether the token was given to this user with the password of now. It is of
// nobody who does not exist.
func (d device) isOf(user UserRecord) bool { return user.ID != "" && d.stamp == deviceStamp(user) }

func deviceStamp(user UserRecord) (stamp [8]byte) {
	text := binary.BigEndian.AppendUint64(nil, uint64(user.AuthVersion)) //nolint:gosec // its bits alone
	sum := sha256.Sum256(append(text, user.ID...))
	copy(stamp[:], sum[:])
	return stamp
}

// deviceCodec mints and reads device tokens.
type deviceCodec struct {
	keys [][]byte // the first mints
}

func newDeviceCodec(refreshKeys []Key) (deviceCodec, error) {
	var c deviceCodec
	for _, k := range refreshKeys {
		key, err := hkdf.Expand(sha256.New, k.bytes(), deviceLabel, sha256.Size)
		if err != nil {
			return deviceCodec{}, fmt.Errorf("auth: device key: %w", err)
		}
		c.keys = append(c.keys, key)
	}
	return c, nil
}

// mint returns a token for a user's next login from this device.
func (c deviceCodec) mint(emailKey string, user UserRecord) string {
	d := device{stamp: deviceStamp(user)}
	_, _ = rand.Read(d.nonce[:]) // crypto/rand never fails: it ends the program instead
	signed := slices.Concat(d.nonce[:], d.stamp[:])
	return base64.RawURLEncoding.EncodeToString(deviceMAC(c.keys[0], signed, emailKey))
}

// read returns the device of a token, if one of the keys has made it for this e-mail key.
// Whose it is, isOf tells.
func (c deviceCodec) read(text, emailKey string) (device, bool) {
	if len(text) != base64.RawURLEncoding.EncodedLen(deviceTokenSz) {
		return device{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != deviceTokenSz {
		return device{}, false
	}
	for _, key := range c.keys {
		if hmac.Equal(b, deviceMAC(key, b[:deviceSigned:deviceSigned], emailKey)) {
			var d device
			copy(d.stamp[:], b[copy(d.nonce[:], b):])
			return d, true
		}
	}
	return device{}, false
}

// deviceMAC returns signed with its MAC behind it. The e-mail key is the last thing that is
// signed, so that no other split of the bytes gives the same.
func deviceMAC(key, signed []byte, emailKey string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	mac.Write([]byte(emailKey))
	return mac.Sum(signed)
}
