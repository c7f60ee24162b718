/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-lfs.c - batches and byte ranges as the other side may say them. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/voice/lfs.h"

#define ID "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
#define OTHER "0000000000000000000000000000000000000000000000000000000000000000"
#define BASE "https://192.0.2.11:7443/repo.git/info/lfs/objects"

static bool only_one(const char *id, guint64 *ret_size, gpointer user_data)
{
	*ret_size = 12;
	return g_str_equal(id, ID);
}

static char *answer(const char *request, GError **error)
{
	return sync_batch_answer(request, strlen(request), BASE, only_one, NULL, error);
}

static void test_batch(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = answer("{\"operation\":\"download\",\"transfers\":[\"lfs-standalone-file\",\"basic\"],\"ref\":{\"name\":\"refs/heads/voice\"},"
				       "\"objects\":[{\"oid\":\"" ID "\",\"size\":12},{\"oid\":\"" ID "\",\"size\":13},{\"oid\":\"" OTHER "\",\"size\":12}]}",
				       &error);

	g_assert_no_error(error);
	g_assert_cmpstr(text, ==,
			"{\"transfer\":\"basic\",\"hash_algo\":\"sha256\",\"objects\":["
			"{\"oid\":\"" ID "\",\"size\":12,\"actions\":{\"download\":{\"href\":\"" BASE "/" ID "\"}}},"
			"{\"oid\":\"" ID "\",\"size\":13,\"error\":{\"code\":404,\"message\":\"the object is not here\"}},"
			"{\"oid\":\"" OTHER "\",\"size\":12,\"error\":{\"code\":404,\"message\":\"the object is not here\"}}]}");
	g_autofree char *none = answer("{\"operation\":\"download\",\"objects\":[]}", &error);
	g_assert_no_error(error);
	g_assert_nonnull(none);
}

static void test_batch_refused(void)
{
	static const struct {
		const char *text;
		SyncErrorCode code;
	} cases[] = {
		{ "", SYNC_ERROR_BAD },
		{ "null", SYNC_ERROR_BAD },
		{ "[]", SYNC_ERROR_BAD },
		{ "{}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\"}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":{}}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":[1]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":[{}]}", SYNC_ERROR_BAD },
		{ "{\"operation\":[\"download\"],\"objects\":[]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":[{\"oid\":\"../../etc/passwd\",\"size\":1}]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":[{\"oid\":\"" ID "\",\"size\":-1}]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":[{\"oid\":\"" ID "\",\"size\":\"1\"}]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":[{\"oid\":\"" ID "\",\"size\":1.5}]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":[{\"oid\":7,\"size\":1}]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"transfers\":[\"tus\"],\"objects\":[]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"transfers\":\"basic\",\"objects\":[]}", SYNC_ERROR_BAD },
		{ "{\"operation\":\"download\",\"objects\":[]}}", SYNC_ERROR_BAD },
		{ "\xff", SYNC_ERROR_BAD },
		{ "{\"operation\":\"upload\",\"objects\":[]}", SYNC_ERROR_REFUSED },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *text = answer(cases[i].text, &error);

		g_test_message("%s", cases[i].text);
		g_assert_null(text);
		g_assert_error(error, SYNC_ERROR, (int)cases[i].code);
	}
}

/* Neither the stack nor time without end. */
static void test_batch_bounds(void)
{
	g_autofree char *deep = g_strnfill(200000, '[');
	g_autoptr(GString) many = g_string_new("{\"operation\":\"download\",\"objects\":[");
	g_autoptr(GError) error = NULL;

	g_assert_null(answer(deep, &error));
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	g_clear_error(&error);
	for (guint i = 0; i <= SYNC_BATCH_OBJECTS_MAX; i++)
		g_string_append_printf(many, "%s{\"oid\":\"" ID "\",\"size\":12}", i ? "," : "");
	g_string_append(many, "]}");
	g_assert_null(answer(many->str, &error));
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	/* Brackets in a name are no depth. */
	g_autofree char *fine = answer("{\"operation\":\"download\",\"ref\":{\"name\":\"[[[[[[[[[[\\\"[[[[\"},\"objects\":[]}", NULL);
	g_assert_nonnull(fine);
}

static void test_hosts(void)
{
	g_assert_true(sync_host_ok("192.0.2.11:7443"));
	g_assert_true(sync_host_ok("[2001:db8::11]:7443"));
	g_assert_true(sync_host_ok("pbx-left"));
	g_assert_false(sync_host_ok(""));
	g_assert_false(sync_host_ok("a/b"));
	g_assert_false(sync_host_ok("a\"b"));
	g_assert_false(sync_host_ok("user@host"));
	g_autofree char *longest = g_strnfill(301, 'a');
	g_assert_false(sync_host_ok(longest));
}

static void test_ranges(void)
{
	static const struct {
		const char *text;
		SyncRangeKind kind;
		guint64 first, last;
	} cases[] = {
		{ NULL, SYNC_RANGE_WHOLE, 0, 99 },
		{ "", SYNC_RANGE_WHOLE, 0, 99 },
		{ "bytes=0-", SYNC_RANGE_PART, 0, 99 },
		{ "bytes=99-", SYNC_RANGE_PART, 99, 99 },
		{ "bytes=10-19", SYNC_RANGE_PART, 10, 19 },
		{ "bytes=10-1000", SYNC_RANGE_PART, 10, 99 },
		{ "bytes=100-", SYNC_RANGE_NONE, 0, 99 },
		{ "bytes=9223372036854775807-", SYNC_RANGE_NONE, 0, 99 },
		{ "bytes=20-10", SYNC_RANGE_WHOLE, 0, 99 },
		{ "bytes=-5", SYNC_RANGE_WHOLE, 0, 99 },
		{ "bytes=1-2,4-5", SYNC_RANGE_WHOLE, 0, 99 },
		{ "bytes=+1-", SYNC_RANGE_WHOLE, 0, 99 },
		{ "bytes=99999999999999999999-", SYNC_RANGE_WHOLE, 0, 99 },
		{ "lines=1-", SYNC_RANGE_WHOLE, 0, 99 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		guint64 first, last;

		g_test_message("%s", cases[i].text ? cases[i].text : "none");
		g_assert_cmpint(sync_range_parse(cases[i].text, 100, &first, &last), ==, cases[i].kind);
		g_assert_cmpuint(first, ==, cases[i].first);
		g_assert_cmpuint(last, ==, cases[i].last);
	}
}

static void test_answers(void)
{
	static const struct {
		guint status;
		gint64 length, first, total;
		guint64 from;
		int code; /* -1: fine */
		guint64 at;
	} cases[] = {
		{ 200, 100, -1, -1, 0, -1, 0 },
		{ 200, 100, -1, -1, 40, -1, 0 }, /* it knows no ranges: from the beginning */
		{ 206, 60, 40, 100, 40, -1, 40 },
		{ 206, 61, 40, 100, 40, SYNC_ERROR_BAD, 0 },
		{ 206, 60, 41, 100, 40, SYNC_ERROR_BAD, 0 },
		{ 206, 60, 40, 101, 40, SYNC_ERROR_BAD, 0 },
		{ 206, 60, -1, -1, 40, SYNC_ERROR_BAD, 0 },
		{ 200, 101, -1, -1, 0, SYNC_ERROR_BAD, 0 },
		{ 200, 99, -1, -1, 0, SYNC_ERROR_BAD, 0 },
		{ 200, -1, -1, -1, 0, SYNC_ERROR_BAD, 0 },
		{ 404, 0, -1, -1, 0, SYNC_ERROR_NOT_FOUND, 0 },
		{ 416, 0, -1, -1, 0, SYNC_ERROR_FAILED, 0 },
		{ 302, 100, -1, -1, 0, SYNC_ERROR_FAILED, 0 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		guint64 at = 0;
		bool ok = sync_range_answered(cases[i].status, cases[i].length, cases[i].first, cases[i].total, cases[i].from, 100, &at, &error);

		g_test_message("%u", i);
		if (cases[i].code < 0)
			g_assert_no_error(error);
		else
			g_assert_error(error, SYNC_ERROR, cases[i].code);
		g_assert_cmpint(ok, ==, cases[i].code < 0);
		if (ok)
			g_assert_cmpuint(at, ==, cases[i].at);
	}
}

int main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lfs/batch", test_batch);
	g_test_add_func("/lfs/batch-refused", test_batch_refused);
	g_test_add_func("/lfs/batch-bounds", test_batch_bounds);
	g_test_add_func("/lfs/hosts", test_hosts);
	g_test_add_func("/lfs/ranges", test_ranges);
	g_test_add_func("/lfs/answers", test_answers);
	return g_test_run();
}
