/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/identity.c - local files first, the name service in a thread. */
#include "supervisor/applications/identity.h"

#include <gio/gio.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define MAX_GROUPS 1024
#define BUFFER_BYTES (256 * 1024)

/* What was found; an answer of the thread, too. */
typedef struct {
	uid_t uid;
	gid_t gid;
	GArray *groups; /* of gid_t */
	char *problem;
} Found;

struct Identity {
	char *user, *group;
	GSourceFunc changed;
	gpointer user_data;
	Found found;
	GCancellable *asking;
};

static void found_free(gpointer data)
{
	Found *found = data;
	g_array_unref(found->groups);
	g_free(found->problem);
	g_free(found);
}

static bool is_member(char **members, const char *user)
{
	return members && g_strv_contains((const char *const *)members, user);
}

bool identity_read_files(const char *passwd, const char *groups, const char *user, const char *group, uid_t *ret_uid, gid_t *ret_gid,
			 GArray *ret_groups)
{
	bool has_user = false, has_group = group == NULL;
	gid_t gid = 0;
	FILE *file = fopen(passwd, "re");
	for (struct passwd *entry; file && !has_user && (entry = fgetpwent(file));) {
		if (strcmp(entry->pw_name, user) != 0)
			continue;
		has_user = true;
		*ret_uid = entry->pw_uid;
		gid = entry->pw_gid;
	}
	if (file)
		fclose(file);
	file = has_user ? fopen(groups, "re") : NULL;
	for (struct group *entry; file && (entry = fgetgrent(file));) {
		if (group && strcmp(entry->gr_name, group) == 0) {
			has_group = true;
			gid = entry->gr_gid;
		}
		if (is_member(entry->gr_mem, user))
			g_array_append_val(ret_groups, entry->gr_gid);
	}
	if (file)
		fclose(file);
	if (!has_user || !has_group)
		return false;
	*ret_gid = gid;
	g_array_append_val(ret_groups, gid);
	return true;
}

/* In the thread. */
static void ask_name_service(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	char **names = data; /* user, group */
	const char *group = *names[1] ? names[1] : NULL;
	Found *found = g_new0(Found, 1);
	g_autofree char *buffer = g_malloc(BUFFER_BYTES);
	struct passwd entry, *person = NULL;
	struct group group_entry, *members = NULL;
	found->groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	if (getpwnam_r(names[0], &entry, buffer, BUFFER_BYTES, &person) != 0 || !person) {
		found->problem = g_strdup_printf("no user %s on this device", names[0]);
	} else {
		found->uid = person->pw_uid;
		found->gid = person->pw_gid;
		if (group && (getgrnam_r(group, &group_entry, buffer, BUFFER_BYTES, &members) != 0 || !members))
			found->problem = g_strdup_printf("no group %s on this device", group);
		else if (members)
			found->gid = members->gr_gid;
	}
	if (!found->problem) {
		int n = MAX_GROUPS;
		g_array_set_size(found->groups, MAX_GROUPS);
		if (getgrouplist(names[0], found->gid, (gid_t *)(void *)found->groups->data, &n) < 0)
			n = MAX_GROUPS;
		g_array_set_size(found->groups, (guint)MAX(n, 0));
	}
	g_task_return_pointer(task, found, found_free);
}

static void on_answer(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	Found *found = g_task_propagate_pointer(G_TASK(result), &error);
	if (!found)
		return; /* cancelled: the identity may be gone */
	Identity *identity = user_data;
	g_clear_object(&identity->asking);
	g_array_unref(identity->found.groups);
	g_free(identity->found.problem);
	identity->found = *found;
	g_free(found);
	(void)identity->changed(identity->user_data);
}

static void ask(Identity *identity)
{
	g_array_set_size(identity->found.groups, 0);
	if (identity_read_files("/etc/passwd", "/etc/group", identity->user, identity->group, &identity->found.uid, &identity->found.gid,
				identity->found.groups)) {
		g_clear_pointer(&identity->found.problem, g_free);
		return;
	}
	g_free(identity->found.problem);
	identity->found.problem = g_strdup_printf("the name service has not yet said who %s is", identity->user);
	identity->asking = g_cancellable_new();
	GTask *task = g_task_new(NULL, identity->asking, on_answer, identity);
	char **names = g_new0(char *, 3);
	names[0] = g_strdup(identity->user);
	names[1] = g_strdup(identity->group ? identity->group : "");
	g_task_set_task_data(task, names, (GDestroyNotify)g_strfreev);
	g_task_run_in_thread(task, ask_name_service);
	g_object_unref(task);
}

Identity *identity_new(const char *user, const char *group, GSourceFunc changed, gpointer user_data)
{
	Identity *identity = g_new0(Identity, 1);
	*identity = (Identity){
		.user = g_strdup(user ? user : "root"), .group = g_strdup(group), .changed = changed, .user_data = user_data,
		.found = { .groups = g_array_new(FALSE, FALSE, sizeof(gid_t)) },
	};
	ask(identity);
	return identity;
}

void identity_free(Identity *identity)
{
	if (!identity)
		return;
	if (identity->asking)
		g_cancellable_cancel(identity->asking);
	g_clear_object(&identity->asking);
	g_array_unref(identity->found.groups);
	g_free(identity->found.problem);
	g_free(identity->user);
	g_free(identity->group);
	g_free(identity);
}

void identity_ask_again(Identity *identity)
{
	if (identity_state(identity) == IDENTITY_UNKNOWN)
		ask(identity);
}

IdentityState identity_state(const Identity *identity)
{
	if (identity->asking)
		return IDENTITY_ASKING;
	return identity->found.problem ? IDENTITY_UNKNOWN : IDENTITY_KNOWN;
}

uid_t identity_uid(const Identity *identity)
{
	return identity->found.uid;
}

gid_t identity_gid(const Identity *identity)
{
	return identity->found.gid;
}

const gid_t *identity_groups(const Identity *identity, gsize *ret_n)
{
	*ret_n = identity->found.groups->len;
	return (const gid_t *)(const void *)identity->found.groups->data;
}

const char *identity_problem(const Identity *identity)
{
	return identity->found.problem ? identity->found.problem : "";
}
