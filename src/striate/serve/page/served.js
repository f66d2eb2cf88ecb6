"use strict";
/* The server answers.  Its token, where it asks for one, comes with the address or is asked for. */

let token = sessionStorage.getItem("token") || "";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  token = given;
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname); // so that it is in no bookmark
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer.json();
  let message = `the service answered ${answer.status}`;
  try { message = (await answer.json()).error || message; } catch { /* it is no sentence of ours */ }
  throw new Answer(message, answer.status);
}

async function classify(blob) {
  return call("predict?top=5&where=true", {
    method: "POST", body: blob, headers: { "Content-Type": "application/octet-stream" },
  });
}

let waiting = null;
function askToken(item) {
  waiting = item;
  $("token").hidden = false;
  put("wrong", token ? "The token is wrong." : "");
  $("secret").focus();
}
$("token").onsubmit = (event) => {
  event.preventDefault();
  token = $("secret").value.trim();
  sessionStorage.setItem("token", token);
  $("token").hidden = true;
  about();
  if (waiting) ask(waiting);
  waiting = null;
};

async function about() {
  try {
    const name = (await call("v2/models")).models[0];
    const known = await call(`v2/models/${encodeURIComponent(name)}`);
    const count = known.outputs.find((each) => each.name === "probabilities").shape[1];
    put("about", `${name} · ${count.toLocaleString("en")} classes`);
  } catch (problem) {
    if (problem.status === 401) askToken(null);
  }
}
about();
