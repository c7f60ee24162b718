/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/upkeep.c - understudy unpair, rotate-key and peer-address: what becomes of a pairing. */
#include "commands.h"

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
