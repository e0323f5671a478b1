// The tokens are in cookies that no script can read; the browser sends them by itself.
// This file decides when to ask for new ones.

// inTurn runs what changes the cookies, one task at a time in all tabs of the browser.
// Else the late answer to an old request could put its cookies over newer ones.
const inTurn = (task) => navigator.locks.request("auth", task);

// Whoever has the turn must not keep it for ever.
const limit = () => AbortSignal.timeout(20_000);

const post = (path, body = {}) => fetch(path, {
  method: "POST",
  headers: {"Content-Type": "application/json"},
  body: JSON.stringify(body),
  signal: limit(),
});

export const login = (email, password) => inTurn(() => post("/api/login", {email, password}));

export const logout = () => inTurn(() => post("/api/logout"));

let refreshing; // all requests of this tab share one

function refresh() {
  refreshing ??= inTurn(async () => {
    // Another tab may have refreshed while this one waited. The server tells: a note in
    // localStorage can reach this tab later than the lock does. This route also tells
    // whether the session was ended from elsewhere.
    const sessions = await fetch("/api/sessions", {signal: limit()});
    return sessions.status === 401 ? post("/api/refresh") : sessions;
  }).finally(() => { refreshing = undefined; });
  return refreshing;
}

// authorized sends a request. If the answer is 401, it refreshes once and sends it again.
// It returns the last answer to the request, or that to the refresh where this failed: 401
// then means that the user has to log in (or, with insufficient_user_authentication, to
// enter the password again), another status that it may go well later.
async function authorized(send) {
  const response = await send();
  if (response.status !== 401) return response;
  const refreshed = await refresh();
  return refreshed.ok ? send() : refreshed.clone();
}

// authFetch is fetch for requests that need a user.
export const authFetch = (input, init) => authorized(() => fetch(input, init));

export const logoutEverywhere = () => authorized(() => inTurn(() => post("/api/logout/all")));
