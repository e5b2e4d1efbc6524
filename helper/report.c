/* Events for TypeScript: a JSON object a line. */
#include "helper.h"

/* Adds a text where that leaves room for the end of the object. */
static bool add(struct event *event, const char *text, size_t length) {
	if (event->length + length + 8 > sizeof event->text) return false;
	memcpy(event->text + event->length, text, length);
	event->length += length;
	return true;
}

static void add_word(struct event *event, const char *text) {
	add(event, text, strlen(text));
}

void event_bytes(struct event *event, const char *key, const char *bytes, size_t length) {
	char text[64];
	/* A value that is too long is truncated. Then there is no room for another member, and the event is valid JSON. */
	if (!add(event, text, (size_t)snprintf(text, sizeof text, ",\"%.30s\":\"", key))) return;
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		bool plain = byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\';
		if (!add(event, text, (size_t)snprintf(text, sizeof text, plain ? "%c" : "\\u%04x", byte))) break;
	}
	event->text[event->length++] = '"';
}

void event_text(struct event *event, const char *key, const char *text) {
	event_bytes(event, key, text, strlen(text));
}

void event_number(struct event *event, const char *key, long long number) {
	char text[64];
	add(event, text, (size_t)snprintf(text, sizeof text, ",\"%.30s\":%lld", key, number));
}

void event_begin(struct event *event, const char *name) {
	event->length = 0;
	add_word(event, "{\"event\":\"");
	add_word(event, name);
	add_word(event, "\"");
}

void event_send(struct event *event, int descriptor) {
	memcpy(event->text + event->length, "}\n", 2);
	size_t length = event->length + 2;
	for (size_t done = 0; done < length;) {
		ssize_t written = write(descriptor, event->text + done, length - done);
		if (written < 0 && errno != EINTR) return;
		if (written > 0) done += (size_t)written;
	}
}

void event_failure(struct event *event, const char *code, const char *what, const char *on, int error, const char *words) {
	event_text(event, "code", code);
	/* The kernel has errors without a name. */
	if (error != 0) event_text(event, "errno", strerrorname_np(error) == NULL ? "unknown" : strerrorname_np(error));
	if (words[0] != '\0' || error != 0) event_text(event, "reason", words[0] != '\0' ? words : strerror(error));
	/* The last ones, as they may have a path that does not fit. */
	event_text(event, "what", what);
	if (on != NULL && on[0] != '\0') event_text(event, "on", on);
}

void report_failure(int descriptor, const char *code, const char *what, const char *on, int error) {
	struct event event;
	event_begin(&event, "failed");
	event_failure(&event, code, what, on, error, "");
	event_send(&event, descriptor);
}
