/* Events for TypeScript: a JSON object a line. */
#include "helper.h"

static void add(struct event *event, const char *text, size_t length) {
	/* Room stays for the end of the object: an event that is too long is truncated to valid JSON. */
	if (event->length + length + 8 > sizeof event->text) return;
	memcpy(event->text + event->length, text, length);
	event->length += length;
}

static void add_word(struct event *event, const char *text) {
	add(event, text, strlen(text));
}

void event_bytes(struct event *event, const char *key, const char *bytes, size_t length) {
	add_word(event, ",\"");
	add_word(event, key);
	add_word(event, "\":\"");
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		char escaped[8];
		if (byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\')
			add(event, bytes + i, 1);
		else
			add(event, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", byte));
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

void report_failure(int descriptor, const char *code, const char *what, const char *on, int error) {
	struct event event;
	event_begin(&event, "failed");
	event_text(&event, "code", code);
	event_text(&event, "what", what);
	if (on != NULL) event_text(&event, "on", on);
	if (error != 0) {
		event_text(&event, "errno", strerrorname_np(error) == NULL ? "unknown" : strerrorname_np(error));
		event_text(&event, "reason", strerror(error));
	}
	event_send(&event, descriptor);
}
