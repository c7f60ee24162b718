/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/upkeep.c - understudy unpair, rotate-key, peer-address and git-access: what becomes of a pairing, and what it lets people do. */
#include <string.h>

#include "commands.h"
#include "dbus/dict.h"

#define SYNC_FOLDER "/var/lib/understudy/sync"

enum { TOLD_MS = 3000, ROTATED_MS = 10000, SEARCH_MS = 20000 };

/* Waits for a property of the daemon to become "". */
typedef struct {
	const char *property;
	bool needs_peer; /* it cannot while the peer is not connected */
	bool over, empty;
} Wait;

static void look(BusMirror *mirror, gpointer user_data)
{
	Wait *wait = user_data;

	if (!bus_mirror_is_fresh(mirror))
		return;
	GVariant *value = bus_mirror_get(mirror, wait->property, "s"), *connected = bus_mirror_get(mirror, "Connected", "b");

	wait->empty = !value || *g_variant_get_string(value, NULL) == '\0';
	wait->over = wait->empty || (wait->needs_peer && !(connected && g_variant_get_boolean(connected)));
}

static bool is_over(gpointer user_data)
{
	return ((Wait *)user_data)->over;
}

static bool becomes_empty(Ctl *ctl, const char *property, bool needs_peer, int timeout_ms)
{
	Wait wait = { .property = property, .needs_peer = needs_peer };
	BusMirror *mirror = bus_mirror_new(ctl->link, ctl_bus_name(CTL_SYNC), ctl_path(CTL_SYNC), CTL_PEER_INTERFACE, look, &wait);

	(void)ctl_wait(is_over, &wait, timeout_ms);
	bus_mirror_free(mirror);
	return wait.empty;
}

static void print_outcome(Ctl *ctl, const char *outcome, const char *key, bool value)
{
	GVariantBuilder builder;

	if (!ctl->json) {
		ctl_printf("%s\n", outcome);
		return;
	}
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "outcome", g_variant_new_string(outcome));
	if (key)
		g_variant_builder_add(&builder, "{sv}", key, g_variant_new_boolean(value));
	ctl_print_json(g_variant_builder_end(&builder));
}

CtlExit ctl_unpair(Ctl *ctl, int argc, char **argv)
{
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, NULL, "",
			 "Forgets the other device: its key is a stranger's from now on. The other one is told as soon as it can be reached; the applications "
			 "are left as they are.",
			 0, 0))
		return CTL_BAD_INPUT;
	answer = ctl_call(ctl, CTL_SYNC, NULL, CTL_PEER_INTERFACE, "Unpair", NULL, CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SYNC, error);
	bool told = becomes_empty(ctl, "Untold", false, TOLD_MS);
	if (!told && !ctl->json)
		ctl_note(ctl, "the other device cannot be reached now; it is told when it can");
	print_outcome(ctl, "unpaired", "told", told);
	return CTL_OK;
}

CtlExit ctl_rotate_key(Ctl *ctl, int argc, char **argv)
{
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, NULL, "",
			 "Gives this device a new key; the pair stays one. The key in use counts until the other device has the new one, and no longer.", 0, 0))
		return CTL_BAD_INPUT;
	answer = ctl_call(ctl, CTL_SYNC, NULL, CTL_PEER_INTERFACE, "RotateKey", NULL, CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SYNC, error);
	if (becomes_empty(ctl, "NextFingerprint", true, ROTATED_MS)) {
		print_outcome(ctl, "rotated", NULL, false);
		return CTL_OK;
	}
	if (!ctl->json)
		ctl_note(ctl, "the other device does not answer now; the old key counts until it has heard of the new one");
	print_outcome(ctl, "announced", NULL, false);
	return CTL_OK;
}

CtlExit ctl_peer_address(Ctl *ctl, int argc, char **argv)
{
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, NULL, "ADDRESS",
			 "Says where the other device is now, when it was moved and cannot say so itself. It is known by its key; another device there is refused.",
			 1, 1))
		return CTL_BAD_INPUT;
	answer = ctl_call(ctl, CTL_SYNC, NULL, CTL_PEER_INTERFACE, "SetPeerAddress", g_variant_new("(s)", argv[1]), SEARCH_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SYNC, error);
	print_outcome(ctl, "found", NULL, false);
	return CTL_OK;
}

/* As http.pinnedPubkey has it. NULL when it is no fingerprint. */
static char *pin_of(const char *fingerprint)
{
	guint8 bytes[32];

	if (strlen(fingerprint) != 2 * sizeof bytes || strspn(fingerprint, "0123456789abcdef") != 2 * sizeof bytes)
		return NULL;
	for (gsize i = 0; i < sizeof bytes; i++)
		bytes[i] = (guint8)(g_ascii_xdigit_value(fingerprint[2 * i]) << 4 | g_ascii_xdigit_value(fingerprint[2 * i + 1]));
	g_autofree char *base64 = g_base64_encode(bytes, sizeof bytes);
	return g_strconcat("sha256//", base64, NULL);
}

/* For this URL alone: no other that is used in the same shell loses its protection. */
static void print_access(Ctl *ctl, const char *url, const char *pin)
{
	const struct {
		const char *key, *value;
	} entries[] = { { "pinnedPubkey", pin }, { "sslVerify", "false" }, { "sslCert", SYNC_FOLDER "/cert.pem" }, { "sslKey", SYNC_FOLDER "/key.pem" } };

	ctl_printf("export GIT_CONFIG_COUNT=%u\n", (guint)G_N_ELEMENTS(entries));
	for (guint i = 0; i < G_N_ELEMENTS(entries); i++)
		ctl_printf("export GIT_CONFIG_KEY_%u='http.%s.%s' GIT_CONFIG_VALUE_%u='%s'\n", i, url, entries[i].key, i, entries[i].value);
	ctl_printf("UNDERSTUDY_URL='%s'\n", url);
}

CtlExit ctl_git_access(Ctl *ctl, int argc, char **argv)
{
	g_autoptr(GVariant) peer = NULL, record = NULL, urls = NULL;
	g_autoptr(GError) error = NULL;
	const char *url = NULL;

	if (!ctl_options(ctl, &argc, &argv, NULL, "",
			 "Prints what stock git needs to read the other device's repository, for eval in root's shell: the address, this device's key, the other's pinned.",
			 0, 0))
		return CTL_BAD_INPUT;
	peer = ctl_get_all(ctl, CTL_SYNC, NULL, CTL_PEER_INTERFACE, CTL_CALL_TIMEOUT_MS, &error);
	if (!peer)
		return ctl_fail(ctl, CTL_SYNC, error);
	record = dict_value(peer, "PairRecord", "a{sv}");
	urls = dict_value(peer, "PeerUrls", "as");
	g_autofree char *pin = pin_of(dict_string(record, "peer_fingerprint", ""));
	if (!pin || !urls || g_variant_n_children(urls) == 0)
		return ctl_complain(ctl, CTL_REFUSED, "not-paired: there is no other device");
	g_variant_get_child(urls, 0, "&s", &url);
	if (ctl->json) {
		GVariantBuilder builder;

		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "url", g_variant_new_string(url));
		g_variant_builder_add(&builder, "{sv}", "pin", g_variant_new_string(pin));
		g_variant_builder_add(&builder, "{sv}", "cert", g_variant_new_string(SYNC_FOLDER "/cert.pem"));
		g_variant_builder_add(&builder, "{sv}", "key", g_variant_new_string(SYNC_FOLDER "/key.pem"));
		ctl_print_json(g_variant_builder_end(&builder));
	} else {
		print_access(ctl, url, pin);
	}
	return CTL_OK;
}
