/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/processes/spawn.h - makes a process with exactly the rights it shall have, born as the keeper's child and inside its control group.
 *
 * clone3(CLONE_PARENT | CLONE_INTO_CGROUP | CLONE_PIDFD): whoever reaps the supervisor reaps what it spawned, so its own death changes
 * nothing for anybody, and no process is ever outside its group.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Exit codes of a child that could not become what it should. */
#define SPAWN_EXIT_EXEC 127
#define SPAWN_EXIT_RIGHTS 126

typedef struct {
	int resource;  /* RLIMIT_... */
	guint64 value; /* soft and hard */
} SpawnLimit;

typedef struct {
	const char *const *argv; /* argv[0] absolute */
	const char *const *environment; /* whole */
	const char *directory;
	int output;              /* standard output and error */
	const char *cgroup;

	bool change_user;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	gsize n_groups;
	bool keep_capabilities;  /* root applications keep what root has */
	const int *capabilities; /* else only these (CAP_...) */
	gsize n_capabilities;
	bool has_bounds;         /* else `capabilities` are all it can ever have, and no program it executes gains any */
	const int *bounds;
	gsize n_bounds;

	const SpawnLimit *limits;
	gsize n_limits;
	int nice;
	int oom_score_adj;       /* 0: as ours */
	int realtime;            /* 0: no */
	const char *const *writable; /* not NULL: own mount namespace, read-only but for these existing folders */
	const char *const *binds; /* not NULL: own mount namespace; pairs: what is there of the first is seen, read-only, at the second too */
	bool binds_writable;     /* not read-only */
	const char *settings;    /* not NULL: own mount namespace, with this folder in the place of SETTINGS_DIR */
} SpawnPlan;

typedef struct {
	pid_t pid;
	int pidfd;
	guint64 start_ticks;
} Spawned;

/* Finds @user and, when given, @group (else the user's own). Asks the name service: for our own daemons' accounts, at our start. */
bool spawn_find_user(const char *user, const char *group, uid_t *ret_uid, gid_t *ret_gid, GError **error) G_GNUC_WARN_UNUSED_RESULT;

bool spawn_find_group(const char *group, gid_t *ret_gid, GError **error) G_GNUC_WARN_UNUSED_RESULT;

bool spawn_process(const SpawnPlan *plan, Spawned *ret_spawned, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The calling process, and its session: where the kernel shares time out among sessions (autogroup), a process' own value counts only within its
 * session. That value's refusal is the answer, with errno. Only system calls. */
bool spawn_be_nice(int nice);

/* Real time and locked memory for a process that has just been made, and for the threads that it makes. A refusal is the error; the process runs all
 * the same. */
bool spawn_make_real_time(pid_t pid, int priority, GError **error) G_GNUC_WARN_UNUSED_RESULT;
