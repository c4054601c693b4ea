import { h, setText } from "../dom.js";
import { logo } from "../icons.js";
import { client } from "../session.js";

/** @param {() => void} done */
export function loginScreen(done) {
  const problem = h("p", { class: "form-problem", role: "alert", hidden: true });
  const submit = h("button", { class: "button primary wide", type: "submit", "data-testid": "login-submit" }, "Sign in");
  const field = (/** @type {string} */ label, /** @type {any} */ props) => h("label", { class: "field" }, h("span", null, label), h("input", { required: true, ...props }));

  const form = h("form", { class: "login-card", "data-testid": "login-form", onsubmit: async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const values = new FormData(form);
    submit.disabled = true;
    problem.hidden = true;
    try {
      await client.login(String(values.get("username")), String(values.get("password")));
      done();
    } catch (error) {
      setText(problem, /** @type {any} */ (error).status === 401 ? "The user name or the password is wrong." : /** @type {Error} */ (error).message);
      problem.hidden = false;
      submit.disabled = false;
    }
  } },
    logo(), h("h1", null, "Sign in"), h("p", { class: "muted" }, "Long work, followed live."), problem,
    field("User name", { name: "username", autocomplete: "username", autocapitalize: "none", autofocus: true, "data-testid": "login-username" }),
    field("Password", { name: "password", type: "password", autocomplete: "current-password", "data-testid": "login-password" }),
    submit);
  return h("main", { class: "login" }, form);
}
