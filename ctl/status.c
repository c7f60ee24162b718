/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/status.c - understudy status, understudy election. */
#include <time.h>

#include "commands.h"
#include "election-view.h"
#include "status-view.h"

#define OTHERS_TIMEOUT_MS 1000 /* a frozen daemon must not keep the page from whoever looks for what is frozen */

static gint64 boot_time_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return g_strcmp0(dict_string(*(GVariant *const *)a, "Name", ""),
			 dict_string(*(GVariant *const *)b, "Name", ""));
}

/* Every Application1 the supervisor's object manager shows. */
static GPtrArray *get_applications(Ctl *ctl)
{
	g_autoptr(GVariant) answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, "org.freedesktop.DBus.ObjectManager",
					      "GetManagedObjects", NULL, CTL_CALL_TIMEOUT_MS, NULL);
	GPtrArray *applications = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	g_autoptr(GVariantIter) objects = NULL;
	GVariant *interfaces;

	if (!answer || !g_variant_is_of_type(answer, G_VARIANT_TYPE("(a{oa{sa{sv}}})")))
		return applications;
	g_variant_get(answer, "(a{oa{sa{sv}}})", &objects);
	while (g_variant_iter_next(objects, "{o@a{sa{sv}}}", NULL, &interfaces)) {
		GVariant *properties =
			g_variant_lookup_value(interfaces, CTL_APPLICATION_INTERFACE, G_VARIANT_TYPE_VARDICT);

		if (properties)
			g_ptr_array_add(applications, properties);
		g_variant_unref(interfaces);
	}
	g_ptr_array_sort(applications, by_name);
	return applications;
}

CtlExit ctl_status(Ctl *ctl, int argc, char **argv)
{
	g_autoptr(GVariant) supervisor = NULL, sync = NULL, peer_link = NULL, election = NULL, vrrp = NULL, notify = NULL;
	g_autoptr(GPtrArray) applications = NULL;
	g_autoptr(GError) error = NULL;
	StatusView view;

	if (!ctl_options(ctl, &argc, &argv, NULL, "",
			 "Shows both devices: roles, applications, synchronisation, holds and problems.", 0, 0))
		return CTL_BAD_INPUT;
	supervisor = ctl_get_all(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, CTL_CALL_TIMEOUT_MS, &error);
	if (!supervisor)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	applications = get_applications(ctl);
	/* The others may be away: the page then says so, in its place. */
	sync = ctl_get_all(ctl, CTL_SYNC, NULL, CTL_SYNC_INTERFACE, OTHERS_TIMEOUT_MS, NULL);
	peer_link = ctl_get_all(ctl, CTL_SYNC, NULL, CTL_PEER_INTERFACE, OTHERS_TIMEOUT_MS, NULL);
	election = ctl_get_all(ctl, CTL_VRRP, NULL, CTL_ELECTION_INTERFACE, OTHERS_TIMEOUT_MS, NULL);
	vrrp = election ? ctl_get_all(ctl, CTL_VRRP, NULL, CTL_VRRP_INTERFACE, OTHERS_TIMEOUT_MS, NULL) : NULL;
	notify = ctl_get_all(ctl, CTL_NOTIFY, NULL, CTL_NOTIFY_INTERFACE, OTHERS_TIMEOUT_MS, NULL);
	view = (StatusView){ supervisor, applications, sync, peer_link, election, vrrp, g_get_real_time() / 1000, boot_time_us(), notify };
	if (ctl->json) {
		ctl_print_json(status_view_value(&view));
	} else {
		g_autofree char *text = status_view_text(&view, &ctl->out);

		ctl_print(text);
	}
	return CTL_OK;
}

static void print_part(Ctl *ctl, const char *heading, char *owned_text)
{
	g_autofree char *text = owned_text;
	g_autofree char *title = render_coloured(&ctl->out, RENDER_BOLD, heading);

	if (*text)
		ctl_printf("%s\n%s", title, text);
}

CtlExit ctl_election(Ctl *ctl, int argc, char **argv)
{
	g_autoptr(GVariant) election = NULL, vrrp = NULL;
	g_autoptr(GError) error = NULL;
	ElectionView view;

	if (!ctl_options(ctl, &argc, &argv, NULL, "", "Shows all that this device knows of the election.", 0, 0))
		return CTL_BAD_INPUT;
	election = ctl_get_all(ctl, CTL_VRRP, NULL, CTL_ELECTION_INTERFACE, CTL_CALL_TIMEOUT_MS, &error);
	if (!election)
		return ctl_fail(ctl, CTL_VRRP, error);
	vrrp = ctl_get_all(ctl, CTL_VRRP, NULL, CTL_VRRP_INTERFACE, OTHERS_TIMEOUT_MS, NULL);
	view = (ElectionView){ election, vrrp, boot_time_us() };
	if (ctl->json) {
		g_autoptr(GVariant) value = g_variant_ref_sink(election_view_value(&view));
		GVariantDict dict;

		g_variant_dict_init(&dict, value);
		g_variant_dict_insert_value(&dict, "holds", election_view_holds_value(&view));
		ctl_print_json(g_variant_dict_end(&dict));
		return CTL_OK;
	}
	print_part(ctl, "Election", election_view_text(&view, &ctl->out));
	print_part(ctl, "\nHolds (this device does not take over by itself)", election_view_holds(&view, &ctl->out));
	print_part(ctl, "\nCounted since vrrpd started (zeros left out)", election_view_counters(&view, &ctl->out));
	return CTL_OK;
}
