"use strict";
document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const failed = document.getElementById("failed");
  const user = form.elements.user.value.trim();
  const identifier = /^[^@]+@/.test(user)
    ? { type: "m.id.thirdparty", medium: "email", address: user }
    : { type: "m.id.user", user };
  const body = { type: "m.login.password", identifier, password: form.elements.password.value };
  for (const input of form.querySelectorAll("[data-handed-on]")) body[input.name] = input.value;
  failed.hidden = true;
  try {
    const response = await fetch("/_matrix/client/v3/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(String(response.status));
    const answer = await response.json();
    form.hidden = true;
    document.getElementById("done").hidden = false;
    if (window.matrixLogin && window.matrixLogin.onLogin) window.matrixLogin.onLogin(answer);
    else if (window.onLogin) window.onLogin(answer);
  } catch (_) {
    failed.hidden = false;
    failed.focus();
  }
});
