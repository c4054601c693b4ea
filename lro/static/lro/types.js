/**
 * What the server says and what a caller may ask for, as types alone.
 *
 * @typedef {object} Progress
 * @property {number | null} current
 * @property {number | null} total
 * @property {string} unit
 * @property {number | null} percent
 * @property {string} [step]
 * @property {string} [message]
 * @property {number | null} [rate]
 * @property {number | null} [eta_seconds]
 *
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} name
 * @property {string} state
 * @property {boolean} done
 * @property {Progress} progress
 * @property {any} result
 * @property {{code: string, message: string, details?: any[], retryable?: boolean, attempt?: number, kind?: string, traceback?: string} | null} error
 * @property {number} rejected
 * @property {number} attempt
 * @property {number} max_attempts
 * @property {string | null} next_attempt_at
 * @property {string | null} parent_id
 * @property {{total: number, done: number, failed: number}} children
 * @property {string} owner
 * @property {Record<string, any>} input
 * @property {string[]} tags
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} finished_at
 * @property {number} sequence
 * @property {Record<string, string>} links
 *
 * @typedef {object} OperationEvent
 * @property {string} operation
 * @property {number} sequence
 * @property {string} kind
 * @property {number} attempt
 * @property {string} time
 * @property {any} data
 * @property {number} [merged] how many progress events right before it this one stands for too
 *
 * @typedef {{access: string, refresh: string, username?: string}} Tokens
 * @typedef {{get(): Tokens | null, set(tokens: Tokens | null): void}} TokenStore
 * @typedef {{state: "idle" | "connecting" | "live" | "reconnecting" | "polling", retryAt: number | null}} ConnectionState
 * @typedef {{close(): void}} Following
 *
 * @typedef {object} Listener
 * @property {(operation: Operation, event: OperationEvent | null) => void} [onOperation] each change of any of them
 * @property {() => void} [onCaughtUp] all that run now have been told
 *
 * @typedef {object} Follow
 * @property {number} [after] deliver the stored events after this sequence too; without it, only new ones
 * @property {Operation} [operation] what the caller knows already
 * @property {(operation: Operation) => void} [onSnapshot] the first known state, and each state read anew
 * @property {(operation: Operation) => void} [onState] each change of the operation
 * @property {(event: OperationEvent) => void} [onEvent] each event once, in order
 * @property {(problem: import("./problem.js").Problem) => void} [onGone] it was deleted, or may be seen no more; nothing follows
 *
 * @typedef {{results: OperationEvent[], next_after: number | null}} EventPage
 * @typedef {{after?: number, wait?: number, signal?: AbortSignal}} EventQuery
 */

export {};
