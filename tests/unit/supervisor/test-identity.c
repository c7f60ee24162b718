/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-identity.c - accounts out of files. */
#include <glib.h>
#include <glib/gstdio.h>

#include "supervisor/applications/identity.h"

static char *passwd, *groups;

static bool look(const char *user, const char *group, uid_t *ret_uid, gid_t *ret_gid, guint *ret_n)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(gid_t));
	bool ok = identity_read_files(passwd, groups, user, group, ret_uid, ret_gid, list);
	*ret_n = list->len;
	return ok;
}

static void test_user_with_further_groups(void)
{
	uid_t uid;
	gid_t gid;
	guint n;
	g_assert_true(look("pbx", NULL, &uid, &gid, &n));
	g_assert_cmpint(uid, ==, 501);
	g_assert_cmpint(gid, ==, 601);
	g_assert_cmpint(n, ==, 3);
	g_assert_true(look("pbx", "audio", &uid, &gid, &n));
	g_assert_cmpint(gid, ==, 29);
}

static void test_not_there(void)
{
	uid_t uid;
	gid_t gid;
	guint n;
	g_assert_false(look("nobody-here", NULL, &uid, &gid, &n));
	g_assert_false(look("pbx", "none", &uid, &gid, &n));
	passwd[0] = 'x'; /* no such file */
	g_assert_false(look("pbx", NULL, &uid, &gid, &n));
	passwd[0] = '/';
}

static gboolean note(gpointer user_data)
{
	g_main_loop_quit(user_data);
	return G_SOURCE_REMOVE;
}

static void test_name_service_is_asked_elsewhere(void)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	Identity *identity = identity_new("understudy-nobody-here", NULL, note, loop);
	g_assert_cmpint(identity_state(identity), ==, IDENTITY_ASKING);
	g_main_loop_run(loop);
	g_assert_cmpint(identity_state(identity), ==, IDENTITY_UNKNOWN);
	g_assert_cmpstr(identity_problem(identity), ==, "no user understudy-nobody-here on this device");
	identity_ask_again(identity);
	identity_free(identity); /* with the answer under way */
	Identity *root = identity_new(NULL, NULL, note, loop);
	g_assert_cmpint(identity_state(root), ==, IDENTITY_KNOWN);
	g_assert_cmpint(identity_uid(root), ==, 0);
	identity_free(root);
}

int main(int argc, char **argv)
{
	g_autofree char *folder = g_dir_make_tmp("understudy-XXXXXX", NULL);
	passwd = g_build_filename(folder, "passwd", NULL);
	groups = g_build_filename(folder, "group", NULL);
	g_assert_true(g_file_set_contents(passwd, "root:x:0:0::/root:/bin/sh\npbx:x:501:601::/:/bin/false\n", -1, NULL));
	g_assert_true(g_file_set_contents(groups, "pbx:x:601:\naudio:x:29:pbx,other\ndialout:x:20:pbx\nnone-of-his:x:9:other\n", -1, NULL));
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/identity/user-with-further-groups", test_user_with_further_groups);
	g_test_add_func("/identity/not-there", test_not_there);
	g_test_add_func("/identity/name-service", test_name_service_is_asked_elsewhere);
	int status = g_test_run();
	g_unlink(passwd);
	g_unlink(groups);
	g_rmdir(folder);
	g_free(passwd);
	g_free(groups);
	return status;
}
