/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/hook.h - the commands of applications that look at a commit before it is on the files, and act when it is.
 *
 * This process may not become another user, so the supervisor runs them: it reads what is wanted (Sync1.Hooks, a state and not a message: whoever is
 * restarted goes on), finds the command in its own settings by application and kind, and says how it ended (HookDone). What is wanted no longer, because
 * a takeover came first, it kills.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "settings/settings.h"

typedef struct SyncHooks SyncHooks;

typedef struct {
	SettingsHookKind kind;
	const char *application;
	const char *commit; /* 40 digits */
	const char *role;   /* sync_role_text() */
	const char *from, *to; /* MIGRATE: the firmware that made it, and this device's; else NULL */
	guint timeout_ms;   /* of the command itself */
} SyncHookWish;

/* @changed runs in the main context when what is wanted has. */
SyncHooks *sync_hooks_new(GSourceFunc changed, gpointer user_data);
void sync_hooks_free(SyncHooks *hooks); /* nobody waits any more; NULL is fine */

/* From any thread but the main one: waits for the end. Fails with SYNC_ERROR_REFUSED and the hook's last words when it says no, with
 * SYNC_ERROR_TIMED_OUT when nobody ran it, with G_IO_ERROR_CANCELLED at once when @cancellable is. *ret_text (may be NULL) is what it said last when it says yes. */
bool sync_hooks_run(SyncHooks *hooks, const SyncHookWish *wish, GCancellable *cancellable, char **ret_text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* From any thread: nobody waits. @done runs in the main context if it fails, with its last words. What is wanted again while it runs is run once
 * more after it. */
typedef void (*SyncHookFailed)(const char *application, const char *commit, const char *text, gpointer user_data);
void sync_hooks_start(SyncHooks *hooks, const SyncHookWish *wish, SyncHookFailed failed, gpointer user_data);

/* The main context's. What is wanted: a(tssssss) serial, kind, application, commit, role, from, to; floating. */
GVariant *sync_hooks_wanted(SyncHooks *hooks);
/* False: no such serial is wanted. */
bool sync_hooks_ended(SyncHooks *hooks, guint64 serial, bool ok, const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncHooks, sync_hooks_free)
