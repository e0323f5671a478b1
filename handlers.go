package auth

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ostiary/auth/internal/strictjson"
)

// maxBody is how many bytes of a request's body are read.
const maxBody = 16 << 10

// Route is one of the routes of Handler, to mount by itself:
//
//	mux.Handle(route.Method+" "+route.Path, route.Handler)
type Route struct {
	Method  string
	Path    string // the prefix included; a last segment {id} is a variable
	Handler http.Handler
}

// lastSegment ends a route's path that has a variable there. Its handler finds the value
// in the request's path, since not every router fills PathValue.
const lastSegment = "{id}"

// Routes returns the routes of Handler one by one, for hosts that leave out or replace
// some. The prefix is as for Handler. Each handler answers 405 to other methods than its
// route's, HEAD included, which [http.ServeMux] takes for GET.
func (a *Authenticator) Routes(prefix string) []Route {
	routes := a.routes(prefix)
	for i, route := range routes {
		routes[i].Handler = a.onlyMethods(map[string]http.Handler{route.Method: route.Handler})
	}
	return routes
}

// routes are the routes with handlers that take every method.
func (a *Authenticator) routes(prefix string) []Route {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix = "/" + prefix
	}
	routes := []Route{
		{http.MethodPost, "/signup", http.HandlerFunc(a.handleSignup)},
		{http.MethodPost, "/login", http.HandlerFunc(a.handleLogin)},
		{http.MethodGet, "/profile", a.Require(http.HandlerFunc(a.handleProfile))},
		{http.MethodPost, "/refresh", http.HandlerFunc(a.handleRefresh)},
		{http.MethodGet, "/refresh", http.HandlerFunc(a.handleBearerRefresh)},
		{http.MethodGet, "/jwks.json", http.HandlerFunc(a.handleJWKS)},
	}
	routes = append(routes, a.sessionRoutes()...)
	for i, route := range routes {
		routes[i].Path = prefix + route.Path
		if route.Method != http.MethodGet {
			routes[i].Handler = a.sameOrigin(route.Handler)
		}
	}
	return routes
}

// Handler serves every route under prefix: "" for the root, "/api" for /api/login and so
// on. It wants the whole path, not one that [http.StripPrefix] has cut, so that it mounts
// alike in [http.ServeMux], chi, gin and echo. Other paths are answered with 404 and other
// methods with 405, in JSON.
func (a *Authenticator) Handler(prefix string) http.Handler {
	methods := make(map[string]map[string]http.Handler)
	for _, route := range a.routes(prefix) {
		if methods[route.Path] == nil {
			methods[route.Path] = make(map[string]http.Handler)
		}
		methods[route.Path][route.Method] = route.Handler
	}
	handlers := make(map[string]http.Handler, len(methods))
	for path, byMethod := range methods {
		handlers[path] = a.onlyMethods(byMethod)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := handlers[r.URL.Path]
		if slash := strings.LastIndexByte(r.URL.Path, '/'); !ok && slash+1 < len(r.URL.Path) {
			handler, ok = handlers[r.URL.Path[:slash+1]+lastSegment]
		}
		if !ok {
			a.writeError(w, r, &requestError{problem{status: http.StatusNotFound, code: "not_found", message: "Not Found"}})
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// onlyMethods serves by method and answers the others with 405.
func (a *Authenticator) onlyMethods(byMethod map[string]http.Handler) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(byMethod)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := byMethod[r.Method]
		if !ok {
			a.writeError(w, r, &requestError{problem{
				status: http.StatusMethodNotAllowed, code: "method_not_allowed", message: "Method Not Allowed", allow: allow,
			}})
			return
		}
		handler.ServeHTTP(w, r)
	})
}

func (a *Authenticator) handleSignup(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, "name", "email", "password")
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	user, err := a.Signup(r.Context(), SignupInput{
		Name: text(body, "name"), Email: text(body, "email"), Password: text(body, "password"), Client: a.clientOf(r),
	})
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
		UserID  any    `json:"user_id"`
	}{http.StatusCreated, "You have been successfully registered.", a.jsonID(user.ID)})
}

func (a *Authenticator) handleLogin(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, "email", "password", "device_token")
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	deviceToken, err := a.deviceToken(r, body)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	tokens, err := a.Login(r.Context(), LoginInput{
		Email: text(body, "email"), Password: text(body, "password"), DeviceToken: deviceToken, Client: a.clientOf(r),
	})
	a.answerTokens(w, r, tokens, err)
}

func (a *Authenticator) handleRefresh(w http.ResponseWriter, r *http.Request) {
	refreshToken, _, err := a.refreshToken(w, r)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	a.refreshAndWrite(w, r, refreshToken)
}

// deviceToken returns the request's device token: from the body or, if that has none, from
// its cookie; "" if there is none.
func (a *Authenticator) deviceToken(r *http.Request, body strictjson.Object) (string, error) {
	token := text(body, "device_token")
	if token != "" || a.cookies == nil {
		return token, nil
	}
	token, err := a.cookies.read(r, deviceCookie, "Device")
	if errors.Is(err, ErrNoToken) {
		return "", nil
	}
	return token, err
}

// refreshToken returns the request's refresh token: from the Authorization header; if that
// holds nothing, from the body; if that does not either, from its cookie.
func (a *Authenticator) refreshToken(w http.ResponseWriter, r *http.Request) (token string, byCookie bool, err error) {
	token, err = bearer(r.Header, refreshKind)
	if !errors.Is(err, ErrNoToken) {
		return token, false, err
	}
	body, err := readBody(w, r, "refresh_token")
	if err != nil {
		return "", false, err
	}
	if token = text(body, "refresh_token"); token != "" {
		return token, false, nil
	}
	if a.cookies == nil {
		return "", false, &credentialsError{refreshKind, ErrNoToken}
	}
	token, err = a.cookies.read(r, refreshCookie, refreshKind)
	return token, err == nil, err
}

// handleBearerRefresh is all that GET may do: what a browser sends by itself, a cookie,
// must not change anything by GET.
func (a *Authenticator) handleBearerRefresh(w http.ResponseWriter, r *http.Request) {
	refreshToken, err := bearer(r.Header, refreshKind)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	a.refreshAndWrite(w, r, refreshToken)
}

func (a *Authenticator) refreshAndWrite(w http.ResponseWriter, r *http.Request, refreshToken string) {
	tokens, err := a.Refresh(r.Context(), refreshToken, a.clientOf(r))
	if errors.Is(err, ErrSessionEnded) && !errors.Is(err, ErrUnavailable) {
		err = &requestError{unauthorized("session_ended", "Unauthorized: Invalid Refresh Token.", challengeInvalid)}
	}
	a.answerTokens(w, r, tokens, err)
}

// answerTokens is WriteTokens or, if there is an error, WriteError.
func (a *Authenticator) answerTokens(w http.ResponseWriter, r *http.Request, t Tokens, err error) {
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	a.WriteTokens(w, r, t)
}

// WriteTokens answers a request with tokens as the routes for login, refresh and
// reauthentication do (RFC 6749, section 5.1): in a JSON body or, with Config.Cookies, in
// cookies. It is for hosts' handlers that call StartSession and its like.
func (a *Authenticator) WriteTokens(w http.ResponseWriter, r *http.Request, t Tokens) {
	body := struct {
		Status       int    `json:"status"`
		AccessToken  string `json:"access_token,omitempty"`
		RefreshToken string `json:"refresh_token,omitempty"`
		TokenType    string `json:"token_type,omitempty"`
		ExpiresIn    int64  `json:"expires_in,omitempty"`
		DeviceToken  string `json:"device_token,omitempty"`
	}{http.StatusOK, t.AccessToken, t.RefreshToken, "Bearer", int64(t.ExpiresIn.Seconds()), t.DeviceToken}
	if a.cfg.InsecureTutorialMode {
		body.TokenType, body.ExpiresIn, body.DeviceToken = "", 0, ""
	}
	if a.cookies != nil {
		a.cookies.set(w, r, t)
		body.AccessToken, body.RefreshToken, body.TokenType, body.DeviceToken = "", "", "", ""
	}
	writeJSON(w, http.StatusOK, body)
}

func (a *Authenticator) handleProfile(w http.ResponseWriter, r *http.Request) {
	id, _ := UserIDFromContext(r.Context())
	user, err := a.Profile(r.Context(), id)
	if errors.Is(err, ErrUserNotFound) {
		err = errProfileGone
	}
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	type profile struct {
		ID    any    `json:"id"`
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	writeJSON(w, http.StatusOK, struct {
		Status int     `json:"status"`
		User   profile `json:"user"`
	}{http.StatusOK, profile{a.jsonID(user.ID), a.shownName(user.Name), user.Email}})
}

// jsonID is an ID as bodies show it.
func (a *Authenticator) jsonID(id UserID) any {
	if a.stores.IntegerIDs {
		if n, err := strconv.ParseInt(string(id), 10, 64); err == nil {
			return n
		}
	}
	return string(id)
}

// readBody reads a JSON object of at most maxBody bytes; an empty body counts as {}. Of
// its members it keeps the known ones. The error is a *requestError, or the network's.
func readBody(w http.ResponseWriter, r *http.Request, known ...string) (strictjson.Object, error) {
	if r.ContentLength > maxBody {
		return strictjson.Object{}, errBodyTooLarge()
	}
	body := r.Body
	if body == nil { // a request that no server has made
		body = http.NoBody
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return strictjson.Object{}, errBodyTooLarge()
	}
	if err != nil {
		return strictjson.Object{}, badRequest("invalid_body", "The body could not be read")
	}
	if !isJSON(r.Header["Content-Type"], len(data)) {
		return strictjson.Object{}, &requestError{problem{
			status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			message: "The body must be JSON, sent with Content-Type: application/json",
		}}
	}
	if len(data) == 0 {
		data = []byte("{}")
	}
	object, err := strictjson.Parse(data, known...)
	switch {
	case err == nil:
		return object, nil
	case errors.Is(err, strictjson.ErrDuplicate), errors.Is(err, strictjson.ErrCase):
		return object, badRequest("invalid_json", "The body has a name twice, or in another case")
	case errors.Is(err, strictjson.ErrNotObject):
		return object, badRequest("invalid_json", "The body must be a JSON object")
	default:
		return object, badRequest("invalid_json", "The body is not valid JSON")
	}
}

func errBodyTooLarge() error {
	return &requestError{problem{
		status: http.StatusRequestEntityTooLarge, code: "body_too_large",
		message: "The body must not be larger than " + strconv.Itoa(maxBody) + " bytes",
	}}
}

func badRequest(code, message string) error {
	return &requestError{problem{status: http.StatusBadRequest, code: code, message: message}}
}

// isJSON says whether a body may be read as JSON. HTML forms cannot send the type that
// it wants, so that no page of another origin can post to us without asking first.
func isJSON(contentTypes []string, size int) bool {
	if len(contentTypes) == 0 {
		return size == 0
	}
	mediaType, params, err := mime.ParseMediaType(contentTypes[0])
	charset, hasCharset := params["charset"]
	return err == nil && len(contentTypes) == 1 && mediaType == "application/json" &&
		(!hasCharset || strings.EqualFold(charset, "utf-8"))
}

// text is a member's text, "" if it is missing, null or of another type.
func text(o strictjson.Object, name string) string {
	s, _ := o.String(name)
	return s
}

// clientOf is where the request came from, as Config.ClientIP tells it, else its peer: no
// header is trusted then, since anyone can set those.
func (a *Authenticator) clientOf(r *http.Request) Client {
	c := Client{UserAgent: r.UserAgent()}
	if a.cfg.ClientIP != nil {
		c.IP = a.cfg.ClientIP(r)
	} else {
		c.IP = peerOf(r.RemoteAddr)
	}
	if !c.IP.IsValid() {
		c.IP = unknownPeer
	}
	return c
}

// peerOf reads a RemoteAddr, with a port or, as some middlewares leave it, without.
func peerOf(remoteAddr string) netip.Addr {
	if peer, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return peer.Addr()
	}
	ip, _ := netip.ParseAddr(remoteAddr)
	return ip
}
