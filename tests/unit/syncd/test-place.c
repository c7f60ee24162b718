/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-place.c - host and port of both families. */
#include "syncd/error.h"
#include "syncd/peer/place.h"

static const struct {
	const char *text, *host;
	guint port;
	const char *again;
} good[] = {
	{ "192.0.2.1", "192.0.2.1", 7444, "192.0.2.1:7444" },
	{ "192.0.2.1:9001", "192.0.2.1", 9001, "192.0.2.1:9001" },
	{ "192.0.2.1:1", "192.0.2.1", 1, "192.0.2.1:1" },
	{ "192.0.2.1:65535", "192.0.2.1", 65535, "192.0.2.1:65535" },
	{ "2001:db8::1", "2001:db8::1", 7444, "[2001:db8::1]:7444" },
	{ "[2001:db8::1]", "2001:db8::1", 7444, "[2001:db8::1]:7444" },
	{ "[2001:db8::1]:9001", "2001:db8::1", 9001, "[2001:db8::1]:9001" },
	{ "2001:DB8:0::0:1", "2001:db8::1", 7444, "[2001:db8::1]:7444" },
	/* Without brackets it is all address. */
	{ "2001:db8::1:9001", "2001:db8::1:9001", 7444, "[2001:db8::1:9001]:7444" },
};

static const char *const bad[] = {
	"",	      ":",		 "pbx-left",	      "pbx-left:9001",	   "192.0.2.1:",	  "192.0.2.1:0",      "192.0.2.1:65536",
	"192.0.2.1:x", "192.0.2.1:+5",	  "192.0.2.256",      "192.0.2.1/24",	   "[192.0.2.1]",	  "[192.0.2.1]:9001", "[]",
	"[]:9001",    "[2001:db8::1",	 "2001:db8::1]",      "[2001:db8::1]9001", "[2001:db8::1]:",	  "[2001:db8::1]:0",  "[2001:db8::x]:9001",
	"[[::1]]",    "2001:db8::1/64", "[2001:db8::1]:1:2", ":9001",
};

static void test_good(void)
{
	for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *host = NULL;
		guint port = 0;

		g_assert_true(sync_place_parse(good[i].text, 7444, &host, &port, &error));
		g_assert_no_error(error);
		g_assert_cmpstr(host, ==, good[i].host);
		g_assert_cmpuint(port, ==, good[i].port);
		g_autofree char *again = sync_place_text(host, port);
		g_assert_cmpstr(again, ==, good[i].again);
	}
}

static void test_bad(void)
{
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *host = NULL;
		guint port = 5;

		if (sync_place_parse(bad[i], 7444, &host, &port, &error))
			g_error("\"%s\" was taken", bad[i]);
		g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
		g_assert_null(host);
		g_assert_cmpuint(port, ==, 5);
	}
}

/* Nothing listens on link-local addresses, and the refusal says what to take instead. */
static void test_link_local(void)
{
	static const char *const texts[] = { "fe80::1", "fe80::1%eth0", "[fe80::1]:9001", "[fe80::1%eth0]:9001" };

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *host = NULL;
		guint port;

		g_assert_false(sync_place_parse(texts[i], 7444, &host, &port, &error));
		g_assert_nonnull(g_strrstr(error->message, "link-local; join by the address or address6"));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/syncd/place/good", test_good);
	g_test_add_func("/syncd/place/bad", test_bad);
	g_test_add_func("/syncd/place/link-local", test_link_local);
	return g_test_run();
}
