package mq.foreign.pulsar;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.HashingScheme;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.PulsarClient;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * {@code send} and {@code recv}: one JSON line a message on stdout; 0 = done, 1 = error, 2 = usage, 5 = timed out. The
 * programs for Python and Go have the same flags and lines.
 *
 * <p>{@code send --url URL --topic T --messages JSON [--batch N] [--compression lz4|zlib|zstd|snappy] [--hash java|murmur3]}:
 * a message is {@code {"value": base64 or null, "key", "ordering_key", "properties": {}, "event_time": ms}}. With
 * {@code --batch} all of them are given to the client before the first is waited for.
 *
 * <p>{@code recv --url URL --topic T --subscription S [--type exclusive|shared] --count N [--ack all|none|0,3] [--queue N]
 * [--batch-index true] [--idle-ms MS]}: says {@code ready} on stderr when it has subscribed, from the earliest on. Of
 * {@code --ack} the numbers are those of the messages as they come. With {@code --idle-ms} it ends well when none came for so long.
 */
final class Once {
    private static final int FAILED = 1;
    private static final int TIMED_OUT = 5;

    private final PrintStream out;

    Once(PrintStream out) {
        this.out = out;
    }

    int run(String command, Map<String, String> options) {
        options.putIfAbsent("--transactions", "false");
        try (PulsarClient client = Clients.open(options)) {
            return command.equals("send") ? send(client, options) : receive(client, options);
        } catch (Exception e) {
            out.println(new JSONObject().put("error", Main.told(e)).put("code", -1));
            return FAILED;
        }
    }

    private int send(PulsarClient client, Map<String, String> options) throws Exception {
        JSONObject params = new JSONObject()
                .put("topic", options.get("--topic"))
                .put("batch", Integer.parseInt(options.getOrDefault("--batch", "0")))
                .put("compression", options.getOrDefault("--compression", "none").toUpperCase());
        ProducerBuilder<byte[]> builder = Builders.producer(client, params);
        if (options.containsKey("--hash")) {
            boolean murmur = options.get("--hash").equals("murmur3");
            builder.hashingScheme(murmur ? HashingScheme.Murmur3_32Hash : HashingScheme.JavaStringHash);
        }
        try (Producer<byte[]> producer = builder.create()) {
            List<CompletableFuture<MessageId>> sending = new ArrayList<>();
            for (Object one : new JSONArray(options.get("--messages"))) {
                sending.add(Builders.message(producer.newMessage(), (JSONObject) one).sendAsync());
            }
            producer.flush();
            for (CompletableFuture<MessageId> sent : sending) {
                out.println(place(sent.get(30, TimeUnit.SECONDS)));
            }
        }
        return 0;
    }

    private int receive(PulsarClient client, Map<String, String> options) throws Exception {
        String type = options.getOrDefault("--type", "exclusive");
        JSONObject params = new JSONObject()
                .put("topics", new JSONArray().put(options.get("--topic")))
                .put("subscription", options.get("--subscription"))
                .put("type", type.equals("shared") ? "Shared" : "Exclusive")
                .put("from", "Earliest")
                .put("queue", Integer.parseInt(options.getOrDefault("--queue", "1000")))
                .put("batch_index", Boolean.parseBoolean(options.get("--batch-index")));
        ConsumerBuilder<byte[]> builder = Builders.consumer(client, params);
        String acked = options.getOrDefault("--ack", "all");
        Set<String> numbers = new HashSet<>(List.of(acked.split(",")));
        int count = Integer.parseInt(options.get("--count"));
        boolean idles = options.containsKey("--idle-ms");
        int wait = Integer.parseInt(options.getOrDefault("--idle-ms", options.getOrDefault("--timeout-ms", "60000")));
        try (Consumer<byte[]> consumer = builder.subscribe()) {
            System.err.println("ready");
            for (int i = 0; i < count; i++) {
                Message<byte[]> message = consumer.receive(wait, TimeUnit.MILLISECONDS);
                if (message == null) {
                    return idles ? 0 : TIMED_OUT;
                }
                out.println(line(message));
                if (acked.equals("all") || numbers.contains(String.valueOf(i))) {
                    consumer.acknowledge(message);
                }
            }
        }
        return 0;
    }

    private static JSONObject place(MessageId id) {
        MessageIdAdv place = (MessageIdAdv) id;
        return new JSONObject()
                .put("ledger", place.getLedgerId())
                .put("entry", place.getEntryId())
                .put("partition", place.getPartitionIndex())
                .put("batch_index", place.getBatchIndex());
    }

    private static JSONObject line(Message<byte[]> message) {
        byte[] value = message.getValue();
        byte[] order = message.getOrderingKey();
        return place(message.getMessageId())
                .put("value", value == null ? JSONObject.NULL : Base64.getEncoder().encodeToString(value))
                .put("key", message.hasKey() ? message.getKey() : JSONObject.NULL)
                .put("ordering_key", order == null ? JSONObject.NULL : Base64.getEncoder().encodeToString(order))
                .put("properties", new JSONObject(message.getProperties()))
                .put("event_time", message.getEventTime());
    }
}
