/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-addresses.c - the peer's addresses, with the link-local ones it told. */
#include <glib.h>

#include "supervisor/addresses.h"

static const struct {
	const char *name, *told, *link_locals, *known, *want;
} rows[] = {
	{ "told", "{'lan': ['192.0.2.12', '2001:db8::12']}", "{'lan': 'fe80::12'}", NULL,
	  "{'lan': ['192.0.2.12', '2001:db8::12', 'fe80::12']}" },
	{ "each-its-own", "{'lan': ['192.0.2.12'], 'peer': ['10.0.0.2']}", "{'peer': 'fe80::2', 'lan': 'fe80::12'}", NULL,
	  "{'lan': ['192.0.2.12', 'fe80::12'], 'peer': ['10.0.0.2', 'fe80::2']}" },
	{ "older-peer", "{'lan': ['192.0.2.12']}", NULL, NULL, "{'lan': ['192.0.2.12']}" },
	/* The interface is away for a moment, or vrrpd has just been started: its address will be the same one. */
	{ "known", "{'lan': ['192.0.2.12']}", "@a{ss} {}", "{'lan': ['192.0.2.12', 'fe80::12']}", "{'lan': ['192.0.2.12', 'fe80::12']}" },
	{ "not-told", "{'lan': ['192.0.2.12']}", NULL, "{'lan': ['fe80::12']}", "{'lan': ['192.0.2.12', 'fe80::12']}" },
	{ "another-card", "{'lan': ['192.0.2.12']}", "{'lan': 'fe80::99'}", "{'lan': ['192.0.2.12', 'fe80::12']}",
	  "{'lan': ['192.0.2.12', 'fe80::99']}" },
	{ "interface-dropped", "{'lan': ['192.0.2.12']}", "@a{ss} {}", "{'lan': ['192.0.2.12'], 'wan': ['fe80::5']}", "{'lan': ['192.0.2.12']}" },
	{ "another-address", "{'lan': ['192.0.2.13']}", NULL, "{'lan': ['192.0.2.12', '2001:db8::12']}", "{'lan': ['192.0.2.13']}" },
	{ "with-prefix", "{'lan': ['192.0.2.12/24', '2001:db8::12/64']}", NULL, NULL, "{'lan': ['192.0.2.12/24', '2001:db8::12/64']}" },
	{ "nonsense", "{'lan': ['left', '', '192.0.2.12', 'fe80::7', '2001:db8::x']}", "{'lan': '2001:db8::7', 'wan': 'x'}", "{'lan': ['x']}",
	  "{'lan': ['192.0.2.12']}" },
	{ "nothing", "@a{sas} {}", "{'lan': 'fe80::1'}", NULL, "@a{sas} {}" },
};

static GVariant *parse(const char *type, const char *text)
{
	return text ? g_variant_parse(G_VARIANT_TYPE(type), text, NULL, NULL, NULL) : NULL;
}

static void test_row(gconstpointer data)
{
	const typeof(rows[0]) *row = data;
	g_autoptr(GVariant) told = parse("a{sas}", row->told);
	g_autoptr(GVariant) link_locals = parse("a{ss}", row->link_locals);
	g_autoptr(GVariant) known = parse("a{sas}", row->known);
	g_autoptr(GVariant) want = parse("a{sas}", row->want);
	g_autoptr(GVariant) got = g_variant_ref_sink(addresses_of_peer(told, link_locals, known));
	g_autofree char *text = g_variant_print(got, FALSE), *wanted = g_variant_print(want, FALSE);

	g_assert_cmpstr(text, ==, wanted);
	/* Said again, nothing changes. */
	g_autoptr(GVariant) again = g_variant_ref_sink(addresses_of_peer(told, link_locals, got));
	g_assert_true(g_variant_equal(again, got));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *path = g_strconcat("/addresses/", rows[i].name, NULL);
		g_test_add_data_func(path, &rows[i], test_row);
	}
	return g_test_run();
}
