/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-service.c - a small daemon-like thing to call: one interface that has a bit of everything. */
#include "test-service.h"

#include <fcntl.h>
#include <unistd.h>

#include "dbus/bus-contract.h"

static const char test_xml[] =
	"<node>\n"
	"  <interface name=\"org.understudy.Test1\">\n"
	"    <!-- Says it back. -->\n"
	"    <method name=\"Echo\"><arg name=\"value\" type=\"v\" direction=\"in\"/><arg name=\"value\" type=\"v\" "
	"direction=\"out\"/></method>\n"
	"    <method name=\"Add\"><arg type=\"i\" direction=\"in\"/><arg type=\"i\" direction=\"in\"/><arg type=\"i\" "
	"direction=\"out\"/></method>\n"
	"    <method name=\"Keep\"><arg type=\"s\" direction=\"out\"/></method>\n"
	"    <method name=\"Fail\"><arg type=\"s\" direction=\"in\"/></method>\n"
	"    <method name=\"Withdraw\"/>\n"
	"    <method name=\"WrongAnswer\"><arg type=\"s\" direction=\"out\"/></method>\n"
	"    <method name=\"ReadFd\"><arg type=\"h\" direction=\"in\"/><arg type=\"s\" direction=\"out\"/></method>\n"
	"    <method name=\"GiveFd\"><arg type=\"h\" direction=\"out\"/></method>\n"
	"    <method name=\"WhoAmI\"><arg type=\"u\" direction=\"out\"/><arg type=\"s\" direction=\"out\"/></method>\n"
	"    <method name=\"Operate\"><annotation name=\"org.understudy.Access\" value=\"operate\"/></method>\n"
	"    <method name=\"Administer\"><annotation name=\"org.understudy.Access\" value=\"administer\"/></method>\n"
	"    <property name=\"Number\" type=\"i\" access=\"readwrite\"/>\n"
	"    <property name=\"Text\" type=\"s\" access=\"read\"/>\n"
	"    <property name=\"Quiet\" type=\"i\" access=\"read\">\n"
	"      <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" value=\"false\"/></property>\n"
	"    <property name=\"Vague\" type=\"i\" access=\"read\">\n"
	"      <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" "
	"value=\"invalidates\"/></property>\n"
	"    <property name=\"Fixed\" type=\"s\" access=\"read\">\n"
	"      <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" value=\"const\"/></property>\n"
	"    <property name=\"Guarded\" type=\"i\" access=\"readwrite\">\n"
	"      <annotation name=\"org.understudy.Access\" value=\"administer\"/></property>\n"
	"    <signal name=\"Happened\"><arg name=\"number\" type=\"i\"/></signal>\n"
	"  </interface>\n"
	"  <interface name=\"org.understudy.TestChild1\">\n"
	"    <property name=\"Label\" type=\"s\" access=\"read\"/>\n"
	"    <method name=\"Leave\"/>\n"
	"  </interface>\n"
	"</node>\n";

static void echo(BusCall *call, GVariant *args, gpointer user_data)
{
	bus_call_reply(call, args);
}

static void add(BusCall *call, GVariant *args, gpointer user_data)
{
	gint32 a, b;

	g_variant_get(args, "(ii)", &a, &b);
	bus_call_reply(call, g_variant_new("(i)", a + b));
}

static void keep(BusCall *call, GVariant *args, gpointer user_data)
{
	TestService *service = user_data;

	service->kept = call;
	service->n_kept++;
	g_queue_push_tail(&service->all_kept, call);
}

static void fail(BusCall *call, GVariant *args, gpointer user_data)
{
	const char *reason;

	g_variant_get(args, "(&s)", &reason);
	bus_call_fail_literal(call, BUS_ERROR_REFUSED, "%s\xff\n", reason);
}

static void withdraw(BusCall *call, GVariant *args, gpointer user_data)
{
	TestService *service = user_data;

	bus_call_reply(call, NULL);
	bus_object_withdraw(service->root);
	service->root = NULL;
}

static void wrong_answer(BusCall *call, GVariant *args, gpointer user_data)
{
	bus_call_reply(call, g_variant_new("(i)", 7));
}

static void read_fd(BusCall *call, GVariant *args, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	char text[100] = "";
	gint32 handle;

	g_variant_get(args, "(h)", &handle);
	int fd = bus_call_take_fd(call, handle, &error);
	g_assert_no_error(error);
	g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
	g_assert_cmpint(read(fd, text, sizeof(text) - 1), >, 0);
	close(fd);
	g_assert_cmpint(bus_call_take_fd(call, handle, &error), ==, -1);
	g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
	bus_call_reply(call, g_variant_new("(s)", text));
}

static void give_fd(BusCall *call, GVariant *args, gpointer user_data)
{
	int ends[2];

	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_assert_cmpint(write(ends[1], "given", 5), ==, 5);
	bus_call_reply_fds(call, g_variant_new("(h)", 0), &ends[0], 1);
	close(ends[0]);
	close(ends[1]);
}

static void who_am_i(BusCall *call, GVariant *args, gpointer user_data)
{
	TestService *service = user_data;

	g_free(service->caller);
	service->caller = g_strdup(bus_call_caller(call));
	bus_call_reply(call, g_variant_new("(us)", bus_call_uid(call), bus_call_caller(call)));
}

static void nothing(BusCall *call, GVariant *args, gpointer user_data)
{
	bus_call_reply(call, NULL);
}

static GVariant *get_number(gpointer user_data)
{
	TestService *service = user_data;

	service->n_reads++;
	return g_variant_new_int32(service->number);
}

static bool set_number(GVariant *value, gpointer user_data, GError **error)
{
	TestService *service = user_data;

	if (g_variant_get_int32(value) < 0) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "it is negative");
		return false;
	}
	service->number = g_variant_get_int32(value);
	return true;
}

static GVariant *get_text(gpointer user_data)
{
	TestService *service = user_data;

	return service->text ? g_variant_new_string(service->text) : NULL;
}

static GVariant *get_quiet(gpointer user_data)
{
	return g_variant_new_int32(((TestService *)user_data)->quiet);
}

static GVariant *get_vague(gpointer user_data)
{
	return g_variant_new_int32(((TestService *)user_data)->vague);
}

static GVariant *get_fixed(gpointer user_data)
{
	return g_variant_new_string("always");
}

static const BusMember test_members[] = {
	{ "Echo", .method = echo },
	{ "Add", .method = add },
	{ "Keep", .method = keep },
	{ "Fail", .method = fail },
	{ "Withdraw", .method = withdraw },
	{ "WrongAnswer", .method = wrong_answer },
	{ "ReadFd", .method = read_fd },
	{ "GiveFd", .method = give_fd },
	{ "WhoAmI", .method = who_am_i },
	{ "Operate", .method = nothing },
	{ "Administer", .method = nothing },
	{ "Number", .get = get_number, .set = set_number },
	{ "Text", .get = get_text },
	{ "Quiet", .get = get_quiet },
	{ "Vague", .get = get_vague },
	{ "Fixed", .get = get_fixed },
	{ "Guarded", .get = get_number, .set = set_number },
	{ 0 },
};

static const BusInterface test_interfaces[] = { { TEST_INTERFACE, test_members }, { 0 } };

typedef struct {
	BusObject *object;
	char *label;
} Child;

static GVariant *get_label(gpointer user_data)
{
	return g_variant_new_string(((Child *)user_data)->label);
}

static void child_free(gpointer data)
{
	Child *child = data;

	g_free(child->label);
	g_free(child);
}

static void leave(BusCall *call, GVariant *args, gpointer user_data)
{
	Child *child = user_data;

	bus_object_withdraw(child->object); /* before the answer: the caller gets .Gone */
	bus_call_reply(call, NULL);
}

static const BusMember child_members[] = {
	{ "Label", .get = get_label },
	{ "Leave", .method = leave },
	{ 0 },
};

static const BusInterface child_interfaces[] = { { TEST_CHILD_INTERFACE, child_members }, { 0 } };

static GPtrArray *children; /* of Child, of all services: freed with the last one */

TestService *test_service_new(void)
{
	static bool added;
	TestService *service = g_new0(TestService, 1);
	g_autoptr(GError) error = NULL;

	if (!added)
		added = bus_contract_add(test_xml, &error);
	g_assert_no_error(error);
	service->tree = bus_tree_new(TEST_ROOT);
	service->text = g_strdup("text");
	service->root = bus_object_publish(service->tree, TEST_ROOT, test_interfaces, service, &error);
	g_assert_no_error(error);
	return service;
}

void test_service_free(TestService *service)
{
	bus_tree_free(service->tree);
	g_queue_clear(&service->all_kept);
	g_clear_pointer(&children, g_ptr_array_unref);
	g_free(service->text);
	g_free(service->caller);
	g_free(service);
}

void test_service_set_number(TestService *service, gint32 number)
{
	service->number = number;
	bus_object_changed(service->root, TEST_INTERFACE, "Number");
}

void test_service_set_text(TestService *service, const char *text)
{
	g_free(service->text);
	service->text = g_strdup(text);
	bus_object_changed(service->root, TEST_INTERFACE, "Text");
}

BusObject *test_service_add_child(TestService *service, const char *name)
{
	g_autofree char *path = g_strdup_printf(TEST_ROOT "/child/%s", name);
	g_autoptr(GError) error = NULL;
	Child *child = g_new0(Child, 1);

	if (!children)
		children = g_ptr_array_new_with_free_func(child_free);
	g_ptr_array_add(children, child);
	child->label = g_strdup(name);
	child->object = bus_object_publish(service->tree, path, child_interfaces, child, &error);
	g_assert_no_error(error);
	return child->object;
}
