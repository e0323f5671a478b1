import {authFetch, login, logout, logoutEverywhere} from "./client.js";

// What one tab does to the cookies concerns all: the others show the page anew.
const tabs = new BroadcastChannel("auth");

const element = (id) => document.getElementById(id);

// show fills the page for whoever is logged in. Its sign that the user asked for it is
// focus: then the keyboard goes to the new part's heading.
async function show({focus} = {}) {
  // The list says for certain whether the session goes on, the profile only whether it did.
  const sessions = await authFetch("/api/sessions");
  const profile = sessions.ok ? await authFetch("/api/profile") : sessions;
  if (!profile.ok && profile.status !== 401) throw await problemOf(profile);
  element("visitor").hidden = profile.ok;
  element("member").hidden = !profile.ok;
  if (profile.ok) {
    const {user} = await profile.json();
    element("name").textContent = user.name;
    element("email").textContent = user.email;
    fill(await sessions.json());
  } else {
    forget();
  }
  if (focus) element(profile.ok ? "profile-title" : "login-title").focus();
}

// forget takes from the page what the last user has left there.
function forget() {
  element("name").textContent = element("email").textContent = "";
  element("sessions").replaceChildren();
}

function fill({sessions}) {
  element("sessions").replaceChildren(...sessions.map(sessionRow));
}

function sessionRow(session) {
  const row = document.createElement("tr");
  const device = document.createElement("th");
  device.scope = "row";
  device.textContent = session.user_agent || "Unknown";
  row.append(device, cell(session.ip), cell(time(session.created_at)), cell(time(session.last_used_at)));
  row.append(cell(session.current ? "This session" : revokeButton(session)));
  return row;
}

function cell(...content) {
  const td = document.createElement("td");
  td.append(...content);
  return td;
}

function time(text) {
  const shown = document.createElement("time");
  shown.dateTime = text;
  shown.textContent = new Date(text).toLocaleString();
  return shown;
}

function revokeButton(session) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Revoke";
  button.setAttribute("aria-label", `Revoke the session from ${session.ip}, last used ${new Date(session.last_used_at).toLocaleString()}`);
  button.addEventListener("click", () => act(button, async () => {
    await answer(authFetch("/api/sessions/" + encodeURIComponent(session.id), {method: "DELETE"}));
    fill(await answer(authFetch("/api/sessions")));
    element("sessions-title").focus(); // the button is gone
    say("The session was revoked.");
  }));
  return button;
}

// Problem is an answer of the API other than 2xx.
class Problem extends Error {
  constructor(message, fields = {}) {
    super(message);
    this.fields = fields;
  }
}

async function problemOf(response) {
  const {message, errors} = await response.json().catch(() => ({}));
  return new Problem(message ?? (errors ? "Please correct what is marked." : "The server could not be asked."), errors);
}

// answer is the body of a request that went well; for others it throws a Problem.
async function answer(request) {
  const response = await request;
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

function say(text) {
  element("status").textContent = text;
}

// act does what a button or a form asks for, says what went wrong, and lets nobody ask
// twice meanwhile.
async function act(control, task) {
  const buttons = control.matches("form") ? control.querySelectorAll("button") : [control];
  for (const button of buttons) button.disabled = true;
  say("");
  element("problem").textContent = "";
  try {
    await task();
  } catch (error) {
    element("problem").textContent = error instanceof Problem ? error.message : "The server could not be reached.";
    if (error instanceof Problem && control.matches("form")) mark(control, error.fields);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

// mark shows beside each field of a form what is wrong with it, and goes to the first.
function mark(form, fields) {
  let first;
  for (const input of form.querySelectorAll("input")) {
    const text = fields[input.name] ?? "";
    document.getElementById(input.getAttribute("aria-describedby").split(" ").at(-1)).textContent = text;
    input.toggleAttribute("aria-invalid", false);
    if (text) {
      input.setAttribute("aria-invalid", "true");
      first ??= input;
    }
  }
  first?.focus();
}

// onSubmit has a task done with what a form holds.
function onSubmit(form, task) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    mark(form, {});
    act(form, async () => {
      await task(Object.fromEntries(new FormData(form)));
      form.reset();
    });
  });
}

// changed shows the page anew, here and in the other tabs.
async function changed(text) {
  tabs.postMessage("changed");
  await show({focus: true});
  say(text);
}

onSubmit(element("login"), async ({email, password}) => {
  await answer(login(email, password));
  await changed("You are logged in.");
});

onSubmit(element("signup"), async ({name, email, password}) => {
  await answer(fetch("/api/signup", {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({name, email, password}),
  }));
  await answer(login(email, password));
  await changed("You are signed up and logged in.");
});

element("logout").addEventListener("click", (event) => act(event.currentTarget, async () => {
  const response = await logout();
  if (!response.ok && response.status !== 401) throw await problemOf(response); // 401: it was over already
  await changed("You are logged out.");
}));

element("logout-all").addEventListener("click", (event) => act(event.currentTarget, async () => {
  await answer(logoutEverywhere());
  await changed("You are logged out everywhere.");
}));

const refreshView = () => act(element("logout"), () => show());

tabs.addEventListener("message", refreshView);
refreshView();
