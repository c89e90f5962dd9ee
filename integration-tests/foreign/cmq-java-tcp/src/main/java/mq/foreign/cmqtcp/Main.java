package mq.foreign.cmqtcp;

import com.qcloud.cmq.client.common.ClientConfig;
import com.qcloud.cmq.client.consumer.Consumer;
import com.qcloud.cmq.client.http.Json.JSONObject;
import com.qcloud.cmq.client.producer.TransactionProducer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * {@code --endpoint URL --id SECRET_ID --key SECRET_KEY [--sign sha1|sha256]}, where the URL is the name server's: see
 * foreign/cmq-python/main.py for what it reads and writes. Codes are those of the TCP protocol.
 */
public final class Main {
    private static final int USAGE = 2;
    private static final int TIMEOUT_MILLIS = 10_000;

    private Main() {
    }

    public static void main(String[] args) throws Exception {
        // Its own would write into the home directory.
        System.setProperty("cmq.client.log.loadconfig", "false");
        TransactionProducer producer = new TransactionProducer();
        Consumer consumer = new Consumer();
        try {
            Map<String, String> options = options(args);
            configure(producer, options);
            configure(consumer, options);
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage());
            System.exit(USAGE);
            return;
        }
        // An answer that was lost is a test's business.
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        consumer.start();
        Calls calls = new Calls(producer, consumer);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            out.println(answer(calls, new JSONObject(line)));
        }
        System.exit(0);
    }

    private static JSONObject answer(Calls calls, JSONObject params) {
        try {
            return calls.call(params.getString("Action"), new Params(params));
        } catch (UnsupportedOperationException e) {
            return error(-2, e);
        } catch (Exception e) {
            return error(-1, e);
        }
    }

    private static JSONObject error(int code, Exception error) {
        Throwable cause = error.getCause();
        String why = cause == null ? "" : ": " + cause;
        return new JSONObject().put("code", code).put("error", error + why);
    }

    private static Map<String, String> options(String[] args) {
        Map<String, String> options = new HashMap<>(Map.of("--sign", "sha1"));
        for (int i = 0; i + 1 < args.length; i += 2) {
            options.put(args[i], args[i + 1]);
        }
        for (String name : new String[] {"--endpoint", "--id", "--key"}) {
            if (!options.containsKey(name)) {
                throw new IllegalArgumentException(name + " is required");
            }
        }
        return options;
    }

    private static void configure(ClientConfig config, Map<String, String> options) {
        config.setNameServerAddress(options.get("--endpoint"));
        config.setSecretId(options.get("--id"));
        config.setSecretKey(options.get("--key"));
        config.setSignMethod(options.get("--sign").equals("sha256") ? ClientConfig.SIGN_METHOD_SHA256 : ClientConfig.SIGN_METHOD_SHA1);
        config.setRequestTimeoutMS(TIMEOUT_MILLIS);
    }
}
