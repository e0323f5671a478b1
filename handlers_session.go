package auth

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// sessionRoutes are the routes about sessions. Those that take an access token ask the
// store whether its session goes on, so that a thief's cannot list or end others after it
// was ended.
func (a *Authenticator) sessionRoutes() []Route {
	live := a.RequireWith(Requirement{Live: true})
	return []Route{
		{http.MethodPost, "/logout", http.HandlerFunc(a.handleLogout)},
		{http.MethodPost, "/logout/all", live(http.HandlerFunc(a.handleLogoutAll))},
		{http.MethodGet, "/sessions", live(http.HandlerFunc(a.handleSessions))},
		{http.MethodDelete, "/sessions/" + lastSegment, live(http.HandlerFunc(a.handleRevokeSession))},
		{http.MethodPost, "/reauth", a.Require(http.HandlerFunc(a.handleReauth))},
	}
}

// handleLogout clears the cookies whenever they carried the token, or one of them is all
// that is left, unless the session may go on: without them the client could not end it any
// more.
func (a *Authenticator) handleLogout(w http.ResponseWriter, r *http.Request) {
	refreshToken, byCookie, err := a.refreshToken(w, r)
	if err == nil {
		err = a.Logout(r.Context(), refreshToken)
	}
	byCookie = byCookie || errors.Is(err, ErrNoToken) && a.cookies != nil && a.cookies.carried(r)
	if byCookie && !errors.Is(err, ErrUnavailable) {
		a.cookies.clear(w, r)
	}
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeMessage(w, "You have been logged out.")
}

// handleLogoutAll ends this session too, unless the body says keep_current, and clears the
// cookies then if one of them carried the token.
func (a *Authenticator) handleLogoutAll(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, "keep_current")
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	keepCurrent, ok := body.Bool("keep_current")
	if body.Has("keep_current") && !ok {
		a.writeError(w, r, &ValidationError{Fields: map[string]string{"keep_current": "It must be true or false"}})
		return
	}
	claims, _ := FromContext(r.Context())
	var keep SessionID
	if keepCurrent {
		keep = claims.SessionID
	}
	if err := a.LogoutAll(r.Context(), claims.UserID, keep); err != nil {
		a.writeError(w, r, err)
		return
	}
	if _, err := bearer(r.Header, ""); a.cookies != nil && !keepCurrent && errors.Is(err, ErrNoToken) {
		a.cookies.clear(w, r)
	}
	writeMessage(w, "You have been logged out everywhere.")
}

func (a *Authenticator) handleSessions(w http.ResponseWriter, r *http.Request) {
	claims, _ := FromContext(r.Context())
	sessions, err := a.Sessions(r.Context(), claims.UserID, claims.SessionID)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	type session struct {
		ID         SessionID  `json:"id"`
		CreatedAt  time.Time  `json:"created_at"`
		LastUsedAt time.Time  `json:"last_used_at"`
		ExpiresAt  time.Time  `json:"expires_at"`
		IP         netip.Addr `json:"ip"` // "" if it is not known
		UserAgent  string     `json:"user_agent"`
		Current    bool       `json:"current"`
	}
	list := make([]session, 0, len(sessions))
	for _, s := range sessions {
		list = append(list, session{s.ID, s.CreatedAt, s.LastUsedAt, s.ExpiresAt, s.Client.IP, s.Client.UserAgent, s.Current})
	}
	writeJSON(w, http.StatusOK, struct {
		Status   int       `json:"status"`
		Sessions []session `json:"sessions"`
	}{http.StatusOK, list})
}

func (a *Authenticator) handleRevokeSession(w http.ResponseWriter, r *http.Request) {
	claims, _ := FromContext(r.Context())
	path := r.URL.EscapedPath()
	id, err := ParseSessionID(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		err = ErrSessionNotFound
	} else {
		err = a.RevokeSession(r.Context(), claims.UserID, id)
	}
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeMessage(w, "The session has been ended.")
}

func (a *Authenticator) handleReauth(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, "password", "device_token")
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	deviceToken, err := a.deviceToken(r, body)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	claims, _ := FromContext(r.Context())
	tokens, err := a.Reauthenticate(r.Context(), claims, ReauthInput{
		Password: text(body, "password"), DeviceToken: deviceToken, Client: a.clientOf(r),
	})
	a.answerTokens(w, r, tokens, err)
}

// writeMessage answers a request that was carried out and has nothing to return.
func writeMessage(w http.ResponseWriter, message string) {
	writeJSON(w, http.StatusOK, struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}{http.StatusOK, message})
}
