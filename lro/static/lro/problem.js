/** The three ways in which a call can fail. */

/** An answer that is an error, in the words of RFC 9457. */
export class Problem extends Error {
  /** @param {number} status @param {any} body @param {string | null} [retryAfter] */
  constructor(status, body, retryAfter = null) {
    super(body?.detail || body?.title || `The server answered ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.code = String(body?.code ?? "");
    this.title = String(body?.title ?? "");
    /** @type {{field?: string, pointer?: string, message: string, code?: string}[]} */
    this.errors = Array.isArray(body?.errors) ? body.errors : [];
    this.retryAfter = retryAfter;
  }
}

/** The server could not be reached. */
export class Unreachable extends Error {
  /** @param {unknown} [cause] */
  constructor(cause) {
    super("The server cannot be reached.", { cause });
    this.name = "Unreachable";
  }
}

/** There is no token, or the server takes it no more. */
export class SignedOut extends Error {
  constructor() {
    super("Please sign in.");
    this.name = "SignedOut";
  }
}

/** Whether a call may succeed later just as it is. @param {unknown} error */
export const isPassing = (error) => error instanceof Unreachable || (error instanceof Problem && (error.status >= 500 || error.status === 429));

/** Whether the operation is not there for us. @param {unknown} error @returns {error is Problem} */
export const isGone = (error) => error instanceof Problem && (error.status === 404 || error.status === 403);
