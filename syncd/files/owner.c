/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/owner.c - owners by name, because the numbers differ between devices. */
#include "syncd/files/owner.h"

#include <grp.h>
#include <pwd.h>

enum { BUFFER = 16384 };

/* number -> name, which is interned: others may have it while the tables are forgotten. */
static GHashTable *users, *groups;
G_LOCK_DEFINE_STATIC(names);

static const char *lookup(GHashTable **table, guint number, char *(*find)(guint))
{
	G_LOCK(names);
	if (!*table)
		*table = g_hash_table_new(NULL, NULL);
	const char *name = g_hash_table_lookup(*table, GUINT_TO_POINTER(number));
	if (!name) {
		g_autofree char *found = find(number);

		if (!found)
			found = g_strdup_printf("%u", number);
		name = g_intern_string(found);
		g_hash_table_insert(*table, GUINT_TO_POINTER(number), (gpointer)name);
	}
	G_UNLOCK(names);
	return name;
}

static char *find_user(guint uid)
{
	struct passwd entry, *found = NULL;
	g_autofree char *buffer = g_malloc(BUFFER);

	return getpwuid_r(uid, &entry, buffer, BUFFER, &found) == 0 && found ? g_strdup(found->pw_name) : NULL;
}

static char *find_group(guint gid)
{
	struct group entry, *found = NULL;
	g_autofree char *buffer = g_malloc(BUFFER);

	return getgrgid_r(gid, &entry, buffer, BUFFER, &found) == 0 && found ? g_strdup(found->gr_name) : NULL;
}

const char *sync_owner_user(uid_t uid)
{
	return lookup(&users, uid, find_user);
}

const char *sync_owner_group(gid_t gid)
{
	return lookup(&groups, gid, find_group);
}

static bool as_number(const char *name, guint *ret)
{
	guint64 number;

	*ret = 0;
	if (!g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT32 - 1, &number, NULL))
		return false;
	*ret = number;
	return true;
}

bool sync_owner_uid(const char *name, uid_t *ret_uid)
{
	struct passwd entry, *found = NULL;
	g_autofree char *buffer = g_malloc(BUFFER);

	if (getpwnam_r(name, &entry, buffer, BUFFER, &found) == 0 && found) {
		*ret_uid = found->pw_uid;
		return true;
	}
	return as_number(name, ret_uid);
}

bool sync_owner_gid(const char *name, gid_t *ret_gid)
{
	struct group entry, *found = NULL;
	g_autofree char *buffer = g_malloc(BUFFER);

	if (getgrnam_r(name, &entry, buffer, BUFFER, &found) == 0 && found) {
		*ret_gid = found->gr_gid;
		return true;
	}
	return as_number(name, ret_gid);
}

void sync_owner_forget(void)
{
	G_LOCK(names);
	g_clear_pointer(&users, g_hash_table_unref);
	g_clear_pointer(&groups, g_hash_table_unref);
	G_UNLOCK(names);
}
