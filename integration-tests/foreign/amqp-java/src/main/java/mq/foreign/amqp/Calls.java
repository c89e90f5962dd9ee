package mq.foreign.amqp;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.Return;
import com.rabbitmq.client.impl.CredentialsProvider;
import com.rabbitmq.client.impl.CredentialsRefreshService;
import com.rabbitmq.client.impl.DefaultCredentialsProvider;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.json.JSONArray;
import org.json.JSONObject;

/** The calls of foreign/amqp-python/main.py. Nothing is recovered by itself, so that a cut is seen. */
final class Calls {
    private static final long PATIENCE = 30_000;

    private final Connection connection;
    private final Refresh refresh = new Refresh();
    private Channel plain;
    private Channel confirming;
    private Channel held;
    private final BlockingQueue<Return> returns = new LinkedBlockingQueue<>();

    Calls(String url, String name) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url);
        factory.setAutomaticRecoveryEnabled(false);
        factory.setCredentialsProvider(new DefaultCredentialsProvider(factory.getUsername(), factory.getPassword()) {
            @Override
            public Duration getTimeBeforeExpiration() {
                return Duration.ofDays(1);
            }
        });
        factory.setCredentialsRefreshService(refresh);
        connection = factory.newConnection(name);
    }

    JSONObject call(String action, JSONObject given) throws Exception {
        return switch (action) {
            case "DeclareQueue" -> declareQueue(given);
            case "DeclareExchange" -> declareExchange(given);
            case "Bind" -> bind(given);
            case "Unbind" -> unbind(given);
            case "Purge" -> new JSONObject().put("messages", channel().queuePurge(given.getString("queue")).getMessageCount());
            case "Delete" -> delete(given);
            case "Publish" -> publish(given);
            case "Receive" -> receive(given);
            case "Hold" -> hold(given);
            case "Settle" -> settle(given);
            case "Get" -> get(given);
            case "Call" -> ask(given);
            case "Serve" -> serve(given);
            case "Partition" -> new JSONObject().put("partition", partition(given.getString("key"), given.getLong("partitions")));
            case "Transact" -> transact(given);
            case "UpdateSecret" -> new JSONObject().put("updated", refresh.action.call());
            case "Close" -> close();
            default -> throw new UnsupportedOperationException(action);
        };
    }

    // As docs/amqp/ordered.md shows it.
    static long partition(String key, long partitions) {
        long hash = 0xcbf29ce484222325L;
        for (byte each : key.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (each & 0xff)) * 0x100000001b3L;
        }
        return Long.remainderUnsigned(hash, partitions);
    }

    private Channel channel() throws IOException {
        if (plain == null || !plain.isOpen()) {
            plain = connection.createChannel();
        }
        return plain;
    }

    private JSONObject declareQueue(JSONObject given) throws IOException {
        AMQP.Queue.DeclareOk said = given.optBoolean("passive")
            ? channel().queueDeclarePassive(given.getString("queue"))
            : channel().queueDeclare(given.getString("queue"), given.optBoolean("durable"), given.optBoolean("exclusive"),
                given.optBoolean("auto_delete"), arguments(given));
        return new JSONObject().put("queue", said.getQueue()).put("messages", said.getMessageCount())
            .put("consumers", said.getConsumerCount());
    }

    private JSONObject declareExchange(JSONObject given) throws IOException {
        if (given.optBoolean("passive")) {
            channel().exchangeDeclarePassive(given.getString("exchange"));
        } else {
            channel().exchangeDeclare(given.getString("exchange"), given.getString("kind"), given.optBoolean("durable"),
                given.optBoolean("auto_delete"), given.optBoolean("internal"), arguments(given));
        }
        return new JSONObject();
    }

    private JSONObject bind(JSONObject given) throws IOException {
        if (given.has("destination")) {
            channel().exchangeBind(given.getString("destination"), given.getString("exchange"), given.getString("key"), arguments(given));
        } else {
            channel().queueBind(given.getString("queue"), given.getString("exchange"), given.getString("key"), arguments(given));
        }
        return new JSONObject();
    }

    private JSONObject unbind(JSONObject given) throws IOException {
        if (given.has("destination")) {
            channel().exchangeUnbind(given.getString("destination"), given.getString("exchange"), given.getString("key"), arguments(given));
        } else {
            channel().queueUnbind(given.getString("queue"), given.getString("exchange"), given.getString("key"), arguments(given));
        }
        return new JSONObject();
    }

    private JSONObject delete(JSONObject given) throws IOException {
        if (given.has("exchange")) {
            channel().exchangeDelete(given.getString("exchange"), given.optBoolean("if_unused"));
            return new JSONObject();
        }
        AMQP.Queue.DeleteOk deleted = channel().queueDelete(given.getString("queue"), given.optBoolean("if_unused"),
            given.optBoolean("if_empty"));
        return new JSONObject().put("messages", deleted.getMessageCount());
    }

    private JSONObject publish(JSONObject given) throws Exception {
        if (confirming == null || !confirming.isOpen()) {
            confirming = connection.createChannel();
            confirming.confirmSelect();
            confirming.addReturnListener(returns::add);
        }
        confirming.basicPublish(given.getString("exchange"), given.getString("key"), given.optBoolean("mandatory"),
            Values.properties(given.getJSONObject("properties")), Values.bytes(given.getString("body")));
        boolean confirmed = confirming.waitForConfirms(PATIENCE);
        // The broker sends it before the confirm, and this client's one thread hands both on in their order.
        Return back = returns.poll();
        if (back != null) {
            JSONObject message = Values.message(back.getExchange(), back.getRoutingKey(), false, back.getProperties(), back.getBody());
            return new JSONObject().put("outcome", "returned").put("reply_code", back.getReplyCode())
                .put("reply_text", back.getReplyText()).put("message", message);
        }
        return new JSONObject().put("outcome", confirmed ? "ack" : "nack");
    }

    private JSONObject receive(JSONObject given) throws Exception {
        Channel channel = connection.createChannel();
        channel.basicQos(given.optInt("prefetch", 10));
        BlockingQueue<Delivery> came = new LinkedBlockingQueue<>();
        boolean autoAck = given.optBoolean("auto_ack");
        String tag = channel.basicConsume(given.getString("queue"), autoAck, "", false, given.optBoolean("exclusive"), arguments(given),
            (t, delivery) -> came.add(delivery), t -> { });
        JSONArray messages = new JSONArray();
        for (int i = 0; i < given.getInt("count"); i++) {
            Delivery delivery = next(came);
            messages.put(message(delivery));
            if (!autoAck) {
                channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
            }
        }
        channel.basicCancel(tag);
        channel.close();
        return new JSONObject().put("messages", messages);
    }

    private JSONObject hold(JSONObject given) throws Exception {
        held = connection.createChannel();
        held.basicQos(given.getInt("count"));
        BlockingQueue<Delivery> came = new LinkedBlockingQueue<>();
        held.basicConsume(given.getString("queue"), false, Map.of(), (t, delivery) -> came.add(delivery), t -> { });
        JSONArray messages = new JSONArray();
        for (int i = 0; i < given.getInt("count"); i++) {
            messages.put(message(next(came)));
        }
        return new JSONObject().put("messages", messages);
    }

    private JSONObject settle(JSONObject given) throws IOException {
        long tag = given.getLong("tag");
        switch (given.getString("how")) {
            case "ack" -> held.basicAck(tag, given.optBoolean("multiple"));
            case "nack" -> held.basicNack(tag, given.optBoolean("multiple"), given.optBoolean("requeue"));
            case "reject" -> held.basicReject(tag, given.optBoolean("requeue"));
            default -> held.basicRecover(true);
        }
        return new JSONObject();
    }

    private JSONObject get(JSONObject given) throws IOException {
        GetResponse said = channel().basicGet(given.getString("queue"), given.optBoolean("auto_ack"));
        if (said == null) {
            return new JSONObject().put("message", JSONObject.NULL);
        }
        if (!given.optBoolean("auto_ack")) {
            channel().basicAck(said.getEnvelope().getDeliveryTag(), false);
        }
        JSONObject message = message(new Delivery(said.getEnvelope(), said.getProps(), said.getBody()));
        return new JSONObject().put("message", message).put("left", said.getMessageCount());
    }

    private JSONObject ask(JSONObject given) throws Exception {
        Channel channel = connection.createChannel();
        BlockingQueue<Delivery> came = new LinkedBlockingQueue<>();
        channel.basicConsume("amq.rabbitmq.reply-to", true, (t, delivery) -> came.add(delivery), t -> { });
        JSONObject asked = given.getJSONObject("properties").put("reply_to", "amq.rabbitmq.reply-to");
        channel.basicPublish(given.getString("exchange"), given.getString("key"), Values.properties(asked),
            Values.bytes(given.getString("body")));
        JSONObject message = message(next(came));
        channel.close();
        return new JSONObject().put("message", message);
    }

    private JSONObject serve(JSONObject given) throws Exception {
        Channel channel = connection.createChannel();
        channel.basicQos(1);
        BlockingQueue<Delivery> came = new LinkedBlockingQueue<>();
        String tag = channel.basicConsume(given.getString("queue"), false, Map.of(), (t, delivery) -> came.add(delivery), t -> { });
        for (int i = 0; i < given.getInt("count"); i++) {
            Delivery request = next(came);
            AMQP.BasicProperties reply = new AMQP.BasicProperties.Builder()
                .correlationId(request.getProperties().getCorrelationId()).build();
            byte[] body = ("java: " + new String(request.getBody(), StandardCharsets.UTF_8)).getBytes(StandardCharsets.UTF_8);
            channel.basicPublish("", request.getProperties().getReplyTo(), reply, body);
            channel.basicAck(request.getEnvelope().getDeliveryTag(), false);
        }
        channel.basicCancel(tag);
        channel.close();
        return new JSONObject().put("served", given.getInt("count"));
    }

    private JSONObject transact(JSONObject given) throws Exception {
        Channel channel = connection.createChannel();
        channel.txSelect();
        channel.basicPublish("", given.getString("queue"), null, "thrown away".getBytes(StandardCharsets.UTF_8));
        channel.txRollback();
        channel.basicPublish("", given.getString("queue"), null, "kept".getBytes(StandardCharsets.UTF_8));
        channel.txCommit();
        channel.close();
        return new JSONObject();
    }

    JSONObject close() throws IOException {
        if (connection.isOpen()) {
            connection.close();
        }
        return new JSONObject();
    }

    private static Delivery next(BlockingQueue<Delivery> came) throws InterruptedException, TimeoutException {
        Delivery delivery = came.poll(PATIENCE, TimeUnit.MILLISECONDS);
        if (delivery == null) {
            throw new TimeoutException("no message came");
        }
        return delivery;
    }

    private static JSONObject message(Delivery delivery) {
        return Values.message(delivery.getEnvelope().getExchange(), delivery.getEnvelope().getRoutingKey(),
            delivery.getEnvelope().isRedeliver(), delivery.getProperties(), delivery.getBody());
    }

    private static Map<String, Object> arguments(JSONObject given) {
        return given.has("arguments") ? Values.table(given.getJSONArray("arguments")) : null;
    }

    /** Refreshes when it is asked to, and not by the clock: connection.update-secret. */
    private static final class Refresh implements CredentialsRefreshService {
        private Callable<Boolean> action;

        @Override
        public String register(CredentialsProvider provider, Callable<Boolean> refreshAction) {
            action = refreshAction;
            return "1";
        }

        @Override
        public void unregister(CredentialsProvider provider, String registrationId) {
        }

        @Override
        public boolean isApproachingExpiration(Duration timeBeforeExpiration) {
            return false;
        }
    }
}
